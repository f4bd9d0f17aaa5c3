/** The command lines that build the addon on other systems. Both were tried by hand on the real wheels: docs/backends.md. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { buildAddon } from "../../../../core/backend/install/build.js";
import { toolchainOf } from "../../../../core/backend/install/toolchain.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fitloop-toolchain-"));
  for (const name of ["binding", "bin", "node/include"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "binding", "a.cc"), "");
  for (const name of ["compiler", "dlltool"]) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\necho "${name} $*" >> "${folder}/calls"\n`);
    chmodSync(join(folder, "bin", name), 0o755);
  }
  vi.stubEnv("PATH", join(folder, "bin"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Lines of the tools, with the folder as `@`. */
async function callsOn(platform: string): Promise<string[]> {
  await buildAddon({
    compiler: join(folder, "bin", "compiler"),
    platform,
    directory: join(folder, "entry"),
    sources: {
      binding: join(folder, "binding"),
      nodeApi: join(folder, "node", "include"),
      loader: join(folder, "loader.cc"),
      group: join(folder, "group.cc"),
    },
  });
  return readFileSync(join(folder, "calls"), "utf8").trim().replaceAll(folder, "@").split("\n");
}

const common = "-DNAPI_VERSION=8 -I@/node/include -I@/entry/tensorflow/include @/binding/a.cc -o @/entry";

it("of macOS names both libraries and leaves Node's functions to the process", async () => {
  expect(await callsOn("darwin-arm64")).toEqual([
    `compiler -O2 -std=c++17 -fPIC -shared ${common}/tfjs_binding.node ` +
      "@/entry/tensorflow/libtensorflow_cc.2.dylib @/entry/tensorflow/libtensorflow_framework.2.dylib " +
      "-Wl,-rpath,@loader_path/tensorflow -undefined dynamic_lookup",
    "compiler --version",
  ]);
});

it("of Windows makes import libraries for Node first, and puts the addon beside TensorFlow's library", async () => {
  const library = (name: string): string => `dlltool -m i386:x86-64 -d @/node/def/${name}.def -l @/entry/${name}.lib`;
  const calls = await callsOn("win32-x64");
  expect(calls).toEqual([
    "dlltool --help",
    library("node_api"),
    library("js_native_api"),
    `compiler -O2 -std=c++17 -shared ${common}/tensorflow/python/tfjs_binding.node ` +
      "@/entry/tensorflow/python/_pywrap_tensorflow_common.dll.if.lib @/entry/node_api.lib @/entry/js_native_api.lib",
    "compiler --version",
  ]);
});

it("of Linux has our unit for groups of processes, and builds the quiet loader too", async () => {
  const calls = await callsOn("linux-arm64");
  expect(calls).toHaveLength(3);
  expect(calls[0]).toContain(
    "@/group.cc -Wl,--wrap=TFE_NewContext -Wl,--wrap=napi_define_properties -lpthread -o @/entry/tfjs_binding.node",
  );
  expect(toolchainOf("linux-arm64")).toBe(toolchainOf("linux-x64"));
});

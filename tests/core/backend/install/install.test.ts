/** The installer on a wheel of a kilobyte: what it leaves, whatever happens to it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type BackendLocation, loaderName, readEntry, verifyEntry } from "../../../../core/backend/install/cache.js";
import type { CudaPin } from "../../../../core/backend/install/cuda-wheels.js";
import { installRecipe } from "../../../../core/backend/install/install.js";
import { findNativeSources, type NativeSources } from "../../../../core/backend/install/native-sources.js";
import type { Recipe } from "../../../../core/backend/install/recipe.js";
import { toolchainOf } from "../../../../core/backend/install/toolchain.js";
import { type ErrorCode, TrainerError } from "../../../../core/errors.js";
import {
  type Files,
  nameOf,
  openWorkshop,
  recipeOf,
  recordOf,
  sha256,
  type Tool,
  type Workshop,
  wheelFiles,
  wheelOf,
} from "../../../support/workshop.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const { addon: addonName, libraries } = toolchainOf("linux-x64");
const wheel = wheelOf();
const recipe = recipeOf(wheel);
const pinned = { name: recipe.wheel.name, bytes: wheel };

let shop: Workshop;
let log: string[];
const children: ChildProcess[] = [];
beforeEach(() => {
  shop = openWorkshop();
  shop.use();
  log = [];
});
afterEach(async () => {
  await Promise.all(children.splice(0).map(kill));
  vi.unstubAllEnvs();
  shop.remove();
});

interface Choice {
  of?: Recipe;
  sources?: NativeSources;
  from?: string;
  signal?: AbortSignal;
}

const install = ({ of = recipe, sources = shop.sources, ...options }: Choice = {}): Promise<BackendLocation> =>
  installRecipe(of, sources, { log: (line) => log.push(line), ...options });

/** The one error that an install fails with. */
async function failure(choice: Choice = {}): Promise<TrainerError> {
  const error: unknown = await install(choice).then(
    () => expect.fail("it installed"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TrainerError);
  return error as TrainerError;
}

/** Installs in a process of its own; `said` resolves once its log has the text. */
function installElsewhere() {
  const script = fileURLToPath(new URL("../../../support/install-process.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--import", "tsx", script, JSON.stringify({ recipe, sources: shop.sources })],
    { cwd: root, detached: true, stdio: ["ignore", "pipe", "inherit"] }, // detached: its tools die with it
  );
  children.push(child);
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (more: string) => (text += more));
  return {
    child,
    said: (what: string) => vi.waitFor(() => expect(text).toContain(what), { timeout: 200_000, interval: 20 }),
    ended: new Promise<number | null>((resolve) => child.on("close", resolve)),
    text: () => text,
  };
}

/** Ends a process and the tools it has started, as a power cut would. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.on("exit", resolve));
  process.kill(-child.pid!, "SIGKILL");
  await ended;
}

const entry = (): string => nameOf(recipe, shop.sources);

async function expectWhole({ directory, addon }: BackendLocation, files: Files = wheelFiles): Promise<void> {
  const found = await readEntry(directory);
  if ("problem" in found) expect.fail(found.problem);
  expect(await verifyEntry(found)).toBeUndefined();
  const wanted = Object.keys(files).filter((name) => !name.includes("unwanted"));
  expect(found.manifest.files.map(({ path }) => path).sort()).toEqual([...wanted, addonName, loaderName].sort());
  for (const name of wanted) expect(readFileSync(join(directory, name), "utf8")).toBe(String(files[name]));
  expect(readFileSync(addon, "utf8")).toBe("addon\n");
}

describe("a fresh machine", () => {
  it("gets libraries, headers and addon; the rest of the wheel is gone", async () => {
    shop.serve(pinned);
    const installed = await install();
    expect(installed.directory).toBe(join(shop.cache, entry()));
    await expectWhole(installed);
    expect(installed.manifest).toMatchObject({
      tensorflow: "9.9.9",
      compiler: "tiny c++ 1.0",
      wheel: { name: pinned.name, sha256: recipe.wheel.sha256, pinned: true },
    });
    expect(shop.left()).toEqual([entry()]);
    const [asked] = shop.calls("pip");
    expect(asked).toMatch(/--no-deps .*--python-version 3\.11 .* tensorflow-cpu==9\.9\.9$/);
    expect(asked).toMatch(/--platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 /);
    const says = [/^fetching tensorflow_cpu-9\.9\.9/, /^its SHA-256 is the pinned one/, /^unpacking/];
    says.push(/^deleted the wheel/, /^compiling/, /^installed \d+ kB in /);
    expect(log).toHaveLength(says.length);
    says.forEach((what, place) => expect(log[place]).toMatch(what));
  });

  it("loads the addon that a real compiler makes, also from where the folder is moved to", async () => {
    const real = { ...findNativeSources(), binding: shop.sources.binding, group: shop.sources.group };
    writeFileSync(join(real.binding, "tiny.cc"), tinyBinding);
    const files: Files = { ...wheelFiles, "tensorflow/include/tensorflow/c/c_api.h": tinyHeader };
    vi.unstubAllEnvs();
    vi.stubEnv("FITLOOP_CACHE", shop.cache);
    for (const name of libraries) files[`tensorflow/${name}`] = library(name);
    const local = join(shop.folder, pinned.name);
    writeFileSync(local, wheelOf(files));
    const { directory } = await install({ of: recipeOf(readFileSync(local)), sources: real, from: local });
    const moved = join(shop.folder, "moved");
    renameSync(directory, moved);
    expect(createRequire(import.meta.url)(join(moved, addonName))).toEqual({ version: "tiny 9.9.9" });
  });
});

describe("a full cache", () => {
  it("needs neither network nor tools, and is not touched", async () => {
    shop.serve(pinned);
    const first = await install();
    const state = (): unknown =>
      readdirSync(shop.cache, { recursive: true }).map((name) => [
        name,
        statSync(join(shop.cache, String(name))).mtimeMs,
      ]);
    const before = state();
    shop.useNoTools();
    log = [];
    expect(await install()).toEqual(first);
    expect(log).toEqual([`TensorFlow 9.9.9 (cpu) is installed and undamaged: ${first.directory}`]);
    expect(state()).toEqual(before);
  });

  it.each<[string, (folder: string) => void, RegExp]>([
    ["a manifest that is gone", (folder) => rmSync(join(folder, "manifest.json")), /^compiling/],
    ["half a manifest", (folder) => cut(folder, "manifest.json"), /since manifest\.json is damaged$/],
    ["a library that is gone", (folder) => rmSync(join(folder, lib)), /since \S+\.so\.2 cannot be read \(ENOENT\)$/],
    ["half a library", (folder) => cut(folder, lib), /since \S+\.so\.2 differs from what was installed$/],
    ["one other byte", (folder) => flip(folder, lib), /since \S+\.so\.2 differs from what was installed$/],
    ["another addon", (folder) => flip(folder, addonName), /since tfjs_binding\.node differs/],
  ])("of %s is mended", async (_, damage, says) => {
    shop.serve(pinned, pinned);
    damage((await install()).directory);
    log = [];
    await expectWhole(await install());
    expect(log).toContainEqual(expect.stringMatching(says));
    expect(shop.left()).toEqual([entry()]);
    expect(shop.calls("pip")).toHaveLength(2);
  });
});

describe("a checksum that does not match", () => {
  const other = wheelOf({ ...wheelFiles, "tensorflow/python/unwanted.py": "x".repeat(300) });
  const flipped = Buffer.from(wheel);
  flipped[40]! ^= 1;

  it.each([
    ["another size", other, `${other.length} bytes, pinned ${wheel.length}`],
    ["another byte", flipped, `SHA-256 ${sha256(flipped).toString("hex")}, pinned ${recipe.wheel.sha256}`],
  ])("(%s) is refused, and leaves nothing", async (_, bytes, problem) => {
    shop.serve({ ...pinned, bytes }, { ...pinned, bytes });
    const { code, message } = await failure();
    expect(code).toBe("ERR_DOWNLOAD");
    expect(message).toContain(problem);
    expect(message).toMatch(/in two downloads .* give its path with --from\.$/);
    expect(shop.left()).toEqual([]);
    expect(shop.calls("compiler")).toEqual([]);
    const [first, second] = shop.calls("pip");
    expect(first).not.toContain("--no-cache-dir");
    expect(second).toContain("--no-cache-dir");
  });

  it("is fetched again past pip's cache, once", async () => {
    shop.serve({ ...pinned, bytes: flipped }, pinned);
    await expectWhole(await install());
    expect(log).toContainEqual(expect.stringMatching(/is not the pinned file \(SHA-256 .*\); deleted it$/));
    expect(shop.left()).toEqual([entry()]);
  });
});

describe("--from", () => {
  const forPython312 = "tensorflow_cpu-9.9.9-cp312-cp312-manylinux_2_27_x86_64.whl";
  const put = (name: string, bytes: Buffer): string => {
    const path = join(shop.folder, name);
    writeFileSync(path, bytes);
    return path;
  };

  it.each([pinned.name, "whatever.whl"])("takes the pinned wheel, named %s, without Python", async (name) => {
    const from = put(name, wheel);
    vi.stubEnv("PATH", join(shop.folder, "nothing"));
    const { directory, addon, manifest } = await install({ from });
    await expectWhole({ directory, addon, manifest });
    expect(manifest.wheel).toEqual({ name, sha256: recipe.wheel.sha256, pinned: true });
    expect(existsSync(from), "the user's file stays").toBe(true);
  });

  it("takes the same TensorFlow for another Python, held against its own record", async () => {
    const bytes = wheelOf({ ...wheelFiles, "another.py": "1" });
    const { directory, addon, manifest } = await install({ from: put(forPython312, bytes) });
    await expectWhole({ directory, addon, manifest });
    const expected = { name: forPython312, sha256: sha256(bytes).toString("hex"), pinned: false };
    expect(manifest.wheel).toEqual(expected);
    expect(log.join("\n")).toContain(`no pinned hash; its SHA-256 is ${expected.sha256}`);
  });

  const lie = recordOf({ ...wheelFiles, "tensorflow/libtensorflow_cc.so.2": "something else" });
  const { "tensorflow/libtensorflow_cc.so.2": _gone, ...without } = wheelFiles;
  const torn = Buffer.from(wheel);
  torn.fill(0xff, 80, 120); // inside the first file's compressed bytes
  it.each<[string, () => string, ErrorCode, RegExp]>([
    ["that is not there", () => "absent.whl", "ERR_DATA", /^--from absent\.whl cannot be read: ENOENT/],
    ["that is a folder", () => shop.folder, "ERR_DATA", /is not a wheel of TensorFlow 9\.9\.9/],
    ["of another name", () => put("torch-2.0-py3-none-any.whl", torn), "ERR_DATA", /one like tensorflow_cpu-9/],
    [
      "of another version",
      () => put(forPython312.replace("9.9.9", "2.9.1"), torn),
      "ERR_DATA",
      /tensorflow_cpu-2\.9\.1\S+ is not a wheel of TensorFlow 9\.9\.9 for this platform/,
    ],
    [
      "for another platform",
      () => put(forPython312.replace("x86_64", "aarch64"), torn),
      "ERR_DATA",
      /aarch64\.whl is not a wheel of TensorFlow 9\.9\.9 for this platform/,
    ],
    [
      "that is cut, under the pinned name",
      () => put(pinned.name, wheel.subarray(0, 500)),
      "ERR_DOWNLOAD",
      /is not what its name says: 500 bytes, pinned \d+\. Fetch it again\.$/,
    ],
    [
      "that is cut",
      () => put(forPython312, wheel.subarray(0, 500)),
      "ERR_DOWNLOAD",
      /cp312\S+ \(500 bytes\) is not a whole zip file\. Fetch it again\.$/,
    ],
    ["that is empty", () => put(forPython312, Buffer.alloc(0)), "ERR_DOWNLOAD", /\(0 bytes\) is not a whole zip/],
    ["of torn bytes", () => put(forPython312, torn), "ERR_DOWNLOAD", /cp312\S+ is damaged: .*\. Fetch it again\.$/],
    [
      "that contradicts its record",
      () => put(forPython312, wheelOf(wheelFiles, lie)),
      "ERR_DOWNLOAD",
      /libtensorflow_cc\.so\.2 in \S+ has the SHA-256 \w+, and its own record says \w+\. Fetch it again\.$/,
    ],
    [
      "without a record",
      () => put(forPython312, wheelOf(wheelFiles, "")),
      "ERR_DOWNLOAD",
      /and its own record does not list it\. Fetch it again\.$/,
    ],
    [
      "without the library",
      () => put(forPython312, wheelOf(without)),
      "ERR_DOWNLOAD",
      /lacks tensorflow\/libtensorflow_cc\.so\.2\. Is it a TensorFlow wheel\?$/,
    ],
  ])("refuses a file %s: one error, nothing left", async (_, from, code, says) => {
    const error = await failure({ from: from() });
    expect(error).toMatchObject({ code, exitCode: 65 });
    expect(error.message).toMatch(says);
    expect(shop.left()).toEqual([]);
    expect(shop.calls("compiler")).toEqual([]);
    expect(shop.calls("pip")).toEqual([]);
  });
});

describe("an install that is interrupted", () => {
  const tools: [Tool][] = [["pip"], ["compiler"]];

  it.each(tools)("by a kill, in %s, is repaired by the next", async (tool) => {
    shop.serve(pinned, pinned);
    shop.hold(tool);
    const { child } = installElsewhere();
    await shop.reached(tool);
    await kill(child);
    const [lock, temporary, ...more] = shop.left();
    expect(lock).toBe("cache.lock");
    expect(temporary).toMatch(/^tmp-/);
    expect(more).toEqual([]);
    expect(readdirSync(join(shop.cache, temporary!), { recursive: true }).length).toBeGreaterThan(1);

    shop.free(tool);
    await expectWhole(await install());
    expect(log).toContain(`removed ${temporary}, left by an install that did not end`);
    expect(shop.left()).toEqual([entry()]);
  });

  it.each(tools)("by a signal, in %s, leaves nothing", async (tool) => {
    shop.serve(pinned, pinned);
    shop.hold(tool);
    const controller = new AbortController();
    const installing = install({ signal: controller.signal });
    await shop.reached(tool);
    controller.abort(new Error("enough"));
    await expect(installing).rejects.toThrow("enough");
    expect(shop.left()).toEqual([]);

    shop.free(tool);
    await expectWhole(await install());
  });

  it("between two files leaves folders of any content, and the next takes them away", async () => {
    shop.serve(pinned);
    for (const name of ["tmp-a/entry/tensorflow", "tmp-b/download/pip", "tmp-c"])
      mkdirSync(join(shop.cache, name), { recursive: true });
    writeFileSync(join(shop.cache, "tmp-a/entry/tensorflow/libtensorflow_cc.so.2"), "half");
    await expectWhole(await install());
    expect(log.filter((line) => line.startsWith("removed tmp-"))).toHaveLength(3);
    expect(shop.left()).toEqual([entry()]);
  });
});

describe("two installs at once", () => {
  it("in two processes: one does the work, the other waits and uses it", async () => {
    shop.serve(pinned);
    shop.hold("compiler");
    const other = installElsewhere();
    await shop.reached("compiler");
    const mine = install();
    const waiting = expect.stringContaining(`another install is under way (process ${other.child.pid} since `);
    await vi.waitFor(() => expect(log).toEqual([waiting]), 200_000);
    shop.free("compiler");
    await expectWhole(await mine);
    expect(await other.ended).toBe(0);
    expect(other.text()).toMatch(/installed \d+ kB in /);
    expect(log.slice(1)).toEqual([`the other process has installed it: ${join(shop.cache, entry())}`]);
    expect(shop.calls("pip")).toHaveLength(1);
    expect(shop.calls("compiler")).toHaveLength(2); // addon and loader
    expect(shop.left()).toEqual([entry()]);
  });

  it("in two processes, of which the first dies: the second does the work", async () => {
    shop.serve(pinned, pinned);
    shop.hold("compiler");
    const first = installElsewhere();
    await shop.reached("compiler");
    const second = installElsewhere();
    await second.said("waiting for it");
    await kill(first.child);
    shop.free("compiler");
    expect(await second.ended).toBe(0);
    expect(second.text()).toMatch(/removed tmp-\w+, left by an install that did not end\n/);
    expect(second.text()).toMatch(/installed \d+ kB in /);
    expect(shop.left()).toEqual([entry()]);
  });

  it("in one process: one does the work", async () => {
    shop.serve(pinned);
    const [one, two] = await Promise.all([install(), install()]);
    expect(one).toEqual(two);
    await expectWhole(one);
    expect(shop.calls("compiler")).toHaveLength(2); // addon and loader
    expect(shop.left()).toEqual([entry()]);
  });
});

describe("another binding", () => {
  it("takes the libraries that are here, as links, and fetches nothing", async () => {
    shop.serve(pinned);
    const old = await install();
    writeFileSync(join(shop.sources.binding, "tiny.cc"), "// the next binding\n");
    log = [];
    const next = await install();
    expect(next.directory).not.toBe(old.directory);
    await expectWhole(next);
    const inode = ({ directory }: BackendLocation): number => statSync(join(directory, lib)).ino;
    expect(inode(next)).toBe(inode(old));
    expect(log[0]).toMatch(/^taking the libraries of tensorflow-9\.9\.9-cpu-linux-x64-\w+, which has another binding$/);
    expect(shop.calls("pip")).toHaveLength(1);
    await expectWhole(old); // a process may be using it
  });

  it("does not take libraries that are damaged", async () => {
    shop.serve(pinned, pinned);
    flip((await install()).directory, lib);
    writeFileSync(join(shop.sources.binding, "tiny.cc"), "// the next binding\n");
    await expectWhole(await install());
    expect(shop.calls("pip")).toHaveLength(2);
  });
});

describe("the variant for GPUs", () => {
  const tiny = wheelOf(
    {
      "nvidia/tiny/lib/libcudart.so.12": "cuda",
      "nvidia/tiny/lib/libcudnn_ops.so.9": "opened by cuDNN",
      "nvidia/tiny/lib/libcusolverMg.so.11": "unwanted",
      "nvidia/tiny/include/cuda.h": "unwanted",
    },
    undefined,
    true,
  );
  const pin = (name: string, bytes: Buffer): CudaPin => {
    const sha = sha256(bytes).toString("hex");
    return { project: name, version: "1.2", name: `${name}.whl`, sha256: sha, bytes: bytes.length };
  };
  const gpuRecipe = (cuda: CudaPin[], recordFirst = false): { of: Recipe; main: Buffer } => {
    const main = wheelOf(wheelFiles, undefined, recordFirst);
    return { of: recipeOf(main, { variant: "gpu", project: "tensorflow", cuda }), main };
  };

  it.each([false, true])(
    "brings the libraries that TensorFlow loads, and links them (record first: %s)",
    async (first) => {
      const { of, main } = gpuRecipe([pin("nvidia-tiny", tiny)], first);
      shop.serve({ name: of.wheel.name, bytes: main }, { name: "nvidia-tiny.whl", bytes: tiny });
      await expectWhole(await install({ of }), {
        ...wheelFiles,
        "nvidia/tiny/lib/libcudart.so.12": "cuda",
        "nvidia/tiny/lib/libcudnn_ops.so.9": "opened by cuDNN",
      });
      expect(log[0]).toMatch(/^\d+ kB to download; \d+ kB of disk while it installs$/);
      expect(shop.calls("pip").map((call) => call.split(" ").at(-1))).toEqual([
        "tensorflow==9.9.9",
        "nvidia-tiny==1.2",
      ]);
      expect(shop.calls("compiler")[0]).toMatch(/-rpath,\$ORIGIN\/nvidia\/tiny\/lib .* -l:libcudart\.so\.12$/);
    },
  );

  it("refuses a wheel of NVIDIA's that differs from the pinned one, and leaves nothing", async () => {
    const { of, main } = gpuRecipe([pin("nvidia-tiny", tiny)]);
    const other = { name: "nvidia-tiny.whl", bytes: Buffer.from("another file") };
    shop.serve({ name: of.wheel.name, bytes: main }, other, other);
    const { code, message } = await failure({ of });
    expect(code).toBe("ERR_DOWNLOAD");
    expect(message).toMatch(/^nvidia-tiny==1\.2 differed from the pinned file in two downloads/);
    expect(shop.left()).toEqual([]);
  });
});

describe("a machine that lacks something", () => {
  it.each<[string, () => Choice | void, ErrorCode, RegExp]>([
    [
      "Python",
      () => vi.stubEnv("PATH", join(shop.folder, "nothing")) && undefined,
      "ERR_BACKEND",
      /^Python 3\.8 or later \(python3\) with pip is missing; .*apt install python3-pip.*--from\.$/s,
    ],
    [
      "pip",
      () => writeFileSync(join(shop.folder, "bin/python3"), '#!/bin/sh\n[ "$1" = -c ]\n'),
      "ERR_BACKEND",
      /^Python's pip is missing; /,
    ],
    ["a compiler", () => shop.useNoTools(), "ERR_BACKEND", /^A C\+\+ compiler is missing; .* apt install g\+\+/],
    [
      "a compiler that works",
      () => shop.breakCompiler("refuses the probe"),
      "ERR_BACKEND",
      /^The C\+\+ compiler found here cannot build a small program; /,
    ],
    [
      "a network",
      () => undefined,
      "ERR_DOWNLOAD",
      /^pip could not fetch tensorflow-cpu==9\.9\.9: .*\nERROR: No matching distribution found\n.* --from\.$/s,
    ],
    [
      "room",
      () => ({ of: recipeOf(wheel, { diskBytes: 1e18 }) }),
      "ERR_OUTPUT",
      /^The disk of \S+ has .*B free, and the install needs 1000000000\.0 GB/,
    ],
    [
      "what the binding needs",
      () => (shop.serve(pinned), shop.breakCompiler("fails")),
      "ERR_BACKEND",
      /^The addon could not be built\. .*\ntiny\.cc:1: error: no luck$/s,
    ],
    [
      "a compiler that writes",
      () => (shop.serve(pinned), shop.breakCompiler("idles")),
      "ERR_IO",
      /^Installing into \S+ failed: ENOENT.*tfjs_binding\.node'\. Nothing is left of it\. .* in FITLOOP_CACHE\.$/,
    ],
  ])("%s: one error that says what to do, nothing left", async (_, prepare, code, says) => {
    const choice = prepare() ?? {};
    const error = await failure(choice);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(says);
    expect(shop.left()).toEqual([]);
  });

  it("a folder for the cache", async () => {
    writeFileSync(shop.cache, "a file");
    const { code, message } = await failure();
    expect(code).toBe("ERR_OUTPUT");
    expect(message).toMatch(/^The cache folder \S+\/cache cannot be written \(EEXIST\)\. .* in FITLOOP_CACHE\.$/);
  });
});

const lib = `tensorflow/${libraries[0]}`;

function cut(folder: string, name: string): void {
  const bytes = readFileSync(join(folder, name));
  writeFileSync(join(folder, name), bytes.subarray(0, bytes.length / 2));
}

/** Damages one byte; the size stays. */
function flip(folder: string, name: string): void {
  const bytes = readFileSync(join(folder, name));
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(join(folder, name), bytes);
}

/** A shared library with one function, as the C API has it. */
function library(name: string): Buffer {
  const source = join(shop.folder, "library.cc");
  writeFileSync(
    source,
    `extern "C" const char* ${name.includes("cc") ? "TF_Version" : "unused"}() { return "tiny 9.9.9"; }`,
  );
  const target = join(shop.folder, name);
  execFileSync("g++", ["-shared", "-fPIC", `-Wl,-soname,${name}`, "-o", target, source]);
  return readFileSync(target);
}

const tinyHeader = 'extern "C" const char* TF_Version();\n';
const tinyBinding = `
#include <node_api.h>
#include "tensorflow/c/c_api.h"
static napi_value Init(napi_env env, napi_value exports) {
  napi_value version;
  napi_create_string_utf8(env, TF_Version(), NAPI_AUTO_LENGTH, &version);
  napi_set_named_property(env, exports, "version", version);
  return exports;
}
NAPI_MODULE(tiny, Init)
`;

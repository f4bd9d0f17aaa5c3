/** The hash of a config, and what a working folder may not change. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { configHash, loadConfig } from "../../../core/config/load.js";

const base = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-bundle-")));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** A config that imports a file, which imports another, and packages. */
function project(name: string): string {
  const folder = join(base, name);
  mkdirSync(join(folder, "parts"), { recursive: true });
  const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
  write(
    "trainer.config.ts",
    'import { data, model } from "./parts/all.js";\nexport default { data, model, learningRate: 0.1, epochs: 1 };',
  );
  write(
    "parts/all.ts",
    'import { shapes } from "fitloop/data";\nimport { resnet18 } from "fitloop/models";\nimport { width } from "./width.ts";\nexport const data = shapes();\nexport const model = resnet18({ width });',
  );
  write("parts/width.ts", "export const width = 4;");
  write("parts/unused.ts", "export const nothing = 1;");
  return folder;
}
const hashIn = (folder: string): Promise<string> => configHash(join(folder, "trainer.config.ts"));

describe("the hash of a config", () => {
  it("is the one that loading gives, and runs nothing", async () => {
    const folder = project("same");
    const { hash } = await loadConfig(join(folder, "trainer.config.ts"));
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(join(folder, "parts/width.ts"), 'throw new Error("was run");\nexport const width = 4;');
    expect(await hashIn(folder)).not.toBe(hash);
  });

  it("changes with each local file that is imported, and with no other", async () => {
    const folder = project("changes");
    const before = await hashIn(folder);
    writeFileSync(join(folder, "parts/unused.ts"), "export const nothing = 2;");
    expect(await hashIn(folder)).toBe(before);
    for (const file of ["trainer.config.ts", "parts/all.ts", "parts/width.ts"]) {
      const other = project(`changes-${file.replaceAll("/", "-")}`);
      writeFileSync(join(other, file), `${"\n"}// changed\n`, { flag: "a" });
      expect(await hashIn(other), file).not.toBe(before);
    }
  });

  it("stays when the project moves", async () => {
    const folder = project("here");
    const before = await hashIn(folder);
    renameSync(folder, join(base, "there"));
    expect(await hashIn(join(base, "there"))).toBe(before);
  });
});

it("a config loads from a folder that nobody may write to", async () => {
  const folder = project("closed");
  for (const each of ["parts", "."]) chmodSync(join(folder, each), 0o555);
  expect((await loadConfig(undefined, { from: folder })).config).toMatchObject({ epochs: 1 });
  for (const each of ["parts", "."]) chmodSync(join(folder, each), 0o755);
});

it("a config loads through a link to its folder, with the same hash", async () => {
  const folder = project("real");
  symlinkSync(folder, join(base, "linked"));
  expect(await hashIn(join(base, "linked"))).toBe(await hashIn(folder));
  expect((await loadConfig(join(base, "linked", "trainer.config.ts"))).config.epochs).toBe(1);
});

describe("a working folder", () => {
  const trainer = fileURLToPath(new URL("../../../bin/trainer.mjs", import.meta.url));

  it("exchanges no module of ours: neither its tsconfig.json nor settings of the config's search are followed", () => {
    const folder = join(base, "hijack");
    mkdirSync(join(folder, ".config"), { recursive: true });
    const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
    const evil = (file: string): string =>
      `require("node:fs").writeFileSync(${JSON.stringify(join(folder, file))}, "x");`;
    write("package.json", '{ "type": "commonjs", "cosmiconfig": { "searchPlaces": ["evil.config.js"] } }');
    write(
      "tsconfig.json",
      JSON.stringify({ compilerOptions: { baseUrl: ".", paths: { mitt: ["./evil.js"], zod: ["./evil.js"] } } }),
    );
    write("evil.js", evil("ran-tsconfig"));
    write(".config/config.js", `${evil("ran-search")} module.exports = {};`);
    write("evil.config.js", evil("ran-other-config"));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [trainer, ...args], { cwd: folder, encoding: "utf8" });
    expect(run("presets")).toMatchObject({ status: 0, stderr: "" });
    expect(run("plan").stderr).toMatch(/^trainer: No config found\./m);
    for (const file of ["ran-tsconfig", "ran-search", "ran-other-config"])
      expect(existsSync(join(folder, file))).toBe(false);
  });
});

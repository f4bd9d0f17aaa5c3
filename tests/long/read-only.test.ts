/** R14 with the system's own no, which holds for root too: a place that is mounted read-only. */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "fitloop-read-only-")));
const [open, closed] = [join(base, "open"), join(base, "closed")];
/** A TypeScript config as people write it. */
const text = `
  import { defineConfig, makePart } from "fitloop";
  import { shapes } from "fitloop/data";
  import { resnet9 } from "fitloop/models";
  const data = makePart(shapes({ classes: 4, size: 8, train: 40, test: 12 }));
  export default defineConfig({
    name: "closed",
    data: { ...data, name: "own", load: (context) => (console.error("data is read"), data.load(context)) },
    model: resnet9({ width: 2 }), learningRate: 0.1, epochs: 1, backend: "wasm",
  });`;
beforeAll(() => {
  fs.mkdirSync(join(open, "node_modules"), { recursive: true });
  fs.mkdirSync(closed);
  fs.writeFileSync(join(open, "package.json"), '{ "type": "module" }');
  fs.writeFileSync(join(open, "trainer.config.ts"), text);
  fs.symlinkSync(root, join(open, "node_modules", "fitloop"));
  // Needs root, and fails without: a test that skips itself proves nothing.
  execFileSync("mount", ["--bind", open, closed]);
  execFileSync("mount", ["-o", "remount,bind,ro", closed]);
  expect(() => fs.writeFileSync(join(closed, "x"), "")).toThrow(/EROFS/);
});
afterAll(() => {
  spawnSync("umount", [closed]);
  fs.rmSync(base, { recursive: true, force: true });
});

function run(cwd: string, ...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "bin", "trainer.mjs"), ...args], {
    cwd,
    encoding: "utf8",
  });
  return { status, stderr };
}
const listing = (): string[] => fs.readdirSync(open, { recursive: false }).map(String).sort();

it.each([
  ["the default place", []],
  ["a new folder", ["--out", join(closed, "run")]],
  ["the mount itself", ["--out", closed]],
] as [string, string[]][])("%s is refused before data is read, and nothing is left", (_, out) => {
  const before = listing();
  const { status, stderr } = run(closed, ...out);
  expect(stderr).toMatch(new RegExp(`trainer: The run's folder ${closed}`));
  expect(stderr).not.toContain("data is read");
  expect(status).toBe(73);
  expect(listing()).toEqual(before);
});

it("a config in TypeScript is loaded from there all the same, and trains elsewhere", () => {
  const before = listing();
  const out = join(base, "run");
  const { status, stderr } = run(closed, "--out", out);
  expect(stderr).toContain("data is read");
  expect(status).toBe(0);
  expect(fs.existsSync(join(out, "summary.json"))).toBe(true);
  expect(listing()).toEqual(before);
});

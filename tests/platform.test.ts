/** Nothing outside `core/backend/install` may need Linux: a whole run without /proc, on a platform that nobody knows. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fitloop-platform-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const trainer = (...words: string[]): string =>
  execFileSync(process.execPath, ["--import", "./tests/support/not-linux.mjs", "bin/trainer.mjs", ...words], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });

it("a run trains, resumes and is evaluated on WebAssembly there", () => {
  const run = join(folder, "run");
  const small = ["--preset", "quickstart", "--backend", "wasm", "--limit-train", "16", "--limit-test", "8", "--quiet"];
  trainer(...small, "--bs", "8", "--epochs", "1", "--max-steps", "1", "--out", run);
  expect(JSON.parse(readFileSync(join(run, "summary.json"), "utf8")).stopReason).toBe("max steps");
  trainer("--out", run, "--resume", "--max-steps", "2", "--quiet");
  expect(existsSync(join(run, "weights.safetensors"))).toBe(true);
  expect(trainer("evaluate", run)).toMatch(/top-1/);
}, 240_000);

it("backend status says that there is no TensorFlow for it, and what is used instead", () => {
  const status = JSON.parse(trainer("backend", "status", "--json"));
  expect(status).toMatchObject({
    use: { name: "wasm" },
    gpu: { unused: "There is no GPU variant for sunos-x64, only for linux-x64." },
    failure: expect.stringMatching(/There is no TensorFlow library for sunos-x64 \(cpu\)/),
  });
});

it("only two modules read what Linux alone has, and both do without", () => {
  const sources = ["cli", "core", "export", "plugins", "presets", "report", "run"].flatMap((area) =>
    readdirSync(join(root, area), { recursive: true, encoding: "utf8" }).map((name) => `${area}/${name}`),
  );
  const named = sources.filter(
    (name) =>
      name.endsWith(".ts") &&
      !name.startsWith("core/backend/install/") &&
      /"\/(proc|sys|dev)\/|`\/(proc|sys|dev)\//.test(readFileSync(join(root, name), "utf8")),
  );
  expect(named.sort()).toEqual(["core/backend/processor.ts", "core/lock/process.ts"]);
});

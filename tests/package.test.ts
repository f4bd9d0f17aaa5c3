/** The published package, as a stranger gets it: packed, installed into an empty project elsewhere, used and type-checked. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const run = promisify(execFile);
let project: string;

beforeAll(async () => {
  await run(process.execPath, [join(root, "scripts/pack.mjs")], { cwd: root });
  const tarball = readdirSync(join(root, "build")).find((name) => name.endsWith(".tgz"))!;
  project = mkdtempSync(join(tmpdir(), "fitloop-project-"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "elsewhere", private: true, type: "module" }));
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(root, "build", tarball)], {
    cwd: project,
  });
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

const installed = (...path: string[]): string => join(project, "node_modules", "fitloop", ...path);
const trainer = (...words: string[]): Promise<{ stdout: string; stderr: string }> =>
  run(join(project, "node_modules/.bin/trainer"), words, { cwd: project });

test("it does not depend on the native package, and carries its source", () => {
  const { dependencies } = JSON.parse(readFileSync(installed("package.json"), "utf8"));
  expect(dependencies).not.toHaveProperty("@tensorflow/tfjs-node-gpu");
  expect(existsSync(join(project, "node_modules/@tensorflow/tfjs-node-gpu"))).toBe(false);
  expect(readdirSync(installed("native/binding"))).toContain("tfjs_backend.cc");
  expect(readdirSync(installed("native/include"))).toContain("node_api.h");
});

test.each(["tensorflow", "wasm"])("trainer trains on %s", async (backend) => {
  await trainer(
    "--preset",
    "quickstart",
    "--backend",
    backend,
    "--max-steps",
    "2",
    "--limit-test",
    "20",
    "--out",
    `run-${backend}`,
  );
  const summary = JSON.parse(readFileSync(join(project, `run-${backend}/summary.json`), "utf8"));
  expect(summary).toMatchObject({ backend, steps: 2, preset: "quickstart" });
});

test("trainer backend install finds the cache full, and status says so", async () => {
  const { stderr, stdout } = await trainer("backend", "install");
  expect(stderr + stdout).not.toContain("fetch");
  expect((await trainer("backend", "status")).stdout).toContain("2.21.0");
});

test("a script and a config of the project share one package with the command line", async () => {
  writeFileSync(
    join(project, "trainer.config.ts"),
    `import { defineConfig } from "fitloop";
     import { shapes } from "fitloop/data";
     import { resnet9 } from "fitloop/models";
     import { labelSmoothing } from "fitloop/plugins";
     export default defineConfig({
       data: shapes({ classes: 3, size: 16, train: 40, test: 10 }),
       model: resnet9({ width: 4 }),
       learningRate: 0.01, epochs: 1, batchSize: 16,
       plugins: [labelSmoothing(), { name: "mine", options: {}, apply({ hooks }) { hooks.onStep.tap(() => undefined); } }],
     });`,
  );
  const { stderr } = await trainer("--backend", "tensorflow", "--out", "mine");
  expect(stderr).not.toMatch(/already registered|more than one/);
  expect(JSON.parse(readFileSync(join(project, "mine/summary.json"), "utf8")).costs).toHaveProperty("mine");
});

test.each(["Bundler", "NodeNext"])("its types hold under moduleResolution %s", async (moduleResolution) => {
  writeFileSync(
    join(project, "use.ts"),
    `import { defineConfig, Trainer, type Plugin, type FitSummary } from "fitloop";
     import { shapes } from "fitloop/data";
     import { resnet18 } from "fitloop/models";
     import { dropout } from "fitloop/plugins";
     import { presets } from "fitloop/presets";
     import { microConfig } from "fitloop/testing";
     const plugin: Plugin = dropout({ rate: 0.5 });
     // @ts-expect-error a rate is a number
     dropout({ rate: "half" });
     // @ts-expect-error there is no such key
     defineConfig({ data: shapes(), model: resnet18(), learningRate: 1, epochs: 1, epochz: 2 });
     const trainer = new Trainer(defineConfig({ data: shapes(), model: resnet18(), learningRate: 1, epochs: 1, plugins: [plugin] }));
     trainer.events.on("epoch:end", ({ validation }) => { const top1: number | undefined = validation?.top1; void top1; });
     const summary: Promise<FitSummary> = trainer.fit();
     void [summary, presets.quickstart.create(), microConfig()];`,
  );
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const module = moduleResolution === "Bundler" ? "ESNext" : "NodeNext";
  const { stdout } = await run(
    process.execPath,
    [
      tsc,
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--target",
      "ES2022",
      "--module",
      module,
      "--moduleResolution",
      moduleResolution,
      "use.ts",
    ],
    { cwd: project },
  ).catch((error: { stdout: string }) => error);
  expect(stdout).toBe("");
});

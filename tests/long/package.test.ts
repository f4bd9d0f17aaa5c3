/**
 * The published package, command by command, in each layout of a project: `npm init -y`, `"type": "module"`, and pnpm's.
 * A warning of any of them fails, and so does a command that this file does not know.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProgram } from "../../cli/program.js";
import {
  complaintsIn,
  createProject,
  layouts,
  moduleResolutions,
  type Project,
  pack,
  typeProblems,
  writePhotos,
} from "../support/packed.js";

const packed = mkdtempSync(join(tmpdir(), "fitloop-packed-"));
let tarball: string;
beforeAll(async () => void (tarball = await pack(packed)));
afterAll(() => rmSync(packed, { recursive: true, force: true }));

const hashOf = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

test("packed again, it has the same bytes", async () => {
  const again = mkdtempSync(join(tmpdir(), "fitloop-packed-again-"));
  try {
    expect(hashOf(await pack(again))).toBe(hashOf(tarball));
  } finally {
    rmSync(again, { recursive: true, force: true });
  }
});

/** Each command, in the order of a project's life: its words, and a file that it must have written. */
const uses: readonly [command: string, words: readonly string[], written?: string][] = [
  ["backend install", []],
  ["backend check", []],
  ["backend status", []],
  ["presets", []],
  ["plugins", []],
  ["plugins", ["cutmix"]],
  ["data verify", ["--kind", "image-folder", "--data", "photos"]],
  ["data check", ["photos"], "data-check.html"],
  ["data preview", ["--preset", "quickstart", "--out", "augmented.png"], "augmented.png"],
  ["plan", ["--preset", "quickstart"]],
  ["lr-find", ["--preset", "quickstart", "--steps", "20"]],
  ["profile", ["--preset", "quickstart", "--steps", "2", "--trace", "trace.json"], "trace.json"],
  ["fit", ["--preset", "quickstart", "--max-steps", "3", "--limit-test", "40", "--out", "a"], "a/report.html"],
  [
    "fit",
    ["--preset", "quickstart", "--max-steps", "3", "--limit-test", "40", "--seed", "2", "--out", "b"],
    "b/summary.json",
  ],
  ["evaluate", ["a", "--resamples", "50"]],
  ["predict", ["a", "cat.jpg"]],
  ["gradcam", ["a", "--images", "4", "--out", "maps"], "maps/gallery.png"],
  ["gradcam", ["a", "cat.jpg", "--out", "one-map"]],
  ["export", ["a", "--to", "onnx,litert,tfjs,savedmodel"], "a/export/model.onnx"],
  ["report", ["a"], "a/report.html"],
  ["compare", ["a", "b"], "compare.html"],
  [
    "ablate",
    [
      "--preset",
      "quickstart",
      "--arms",
      "ema",
      "--seeds",
      "2",
      "--max-steps",
      "3",
      "--limit-test",
      "40",
      "--out",
      "arms",
    ],
    "arms/compare.html",
  ],
  [
    "sweep",
    [
      "--preset",
      "quickstart",
      "--set",
      "learningRate=log(0.01,0.1)",
      "--trials",
      "2",
      "--max-steps",
      "3",
      "--limit-test",
      "40",
      "--out",
      "trials",
    ],
    "trials/compare.html",
  ],
  ["replay", ["a", "--step", "2"]],
  ["fit", ["--backend", "wasm", "--out", "own"], "own/summary.json"],
];

/** Trains on images of its own, with a plugin of its own, and imports nothing but the package. */
const config = `
import { defineConfig } from "fitloop";
import { imageFolder } from "fitloop/data";
import { resnet9 } from "fitloop/models";
import { labelSmoothing } from "fitloop/plugins";

export default defineConfig({
  data: imageFolder({ path: "photos", size: 16 }),
  model: resnet9({ width: 4 }),
  learningRate: 0.01,
  epochs: 1,
  batchSize: 4,
  plugins: [
    labelSmoothing(),
    { name: "half", options: {}, apply: ({ hooks }) => hooks.afterLoss.tap({ pure: true }, (loss) => loss.mul(0.5)) },
  ],
});
`;

describe.each(layouts)("a project of layout %s", (layout) => {
  let project: Project;
  beforeAll(async () => {
    project = await createProject(tarball, layout);
    await writePhotos(project.folder);
    project.write("trainer.config.ts", config);
  });
  afterAll(() => project?.remove());

  test.each(uses)("trainer %s %j", async (command, words, written) => {
    const { stdout, stderr } = await project.trainer(...command.split(" "), ...words);
    expect(complaintsIn(stdout + stderr)).toEqual([]);
    expect(stdout + stderr).not.toBe("");
    if (written !== undefined) expect(existsSync(join(project.folder, written))).toBe(true);
  });

  // In a folder of its own: it writes over no config. Without a network it says so, and needs no weights.
  test("trainer init", async () => {
    const command = "mkdir fresh && cd fresh && HF_HUB_OFFLINE=1 npx trainer init --data ../photos && npx trainer plan";
    const { stdout, stderr } = await project.run("bash", "-c", command);
    expect(complaintsIn(stdout + stderr)).toEqual([]);
    expect(existsSync(join(project.folder, "fresh/trainer.config.ts"))).toBe(true);
  });

  test.each(moduleResolutions)(
    "its types hold in the newest TypeScript under moduleResolution %s",
    async (resolution) => {
      const compiler = mkdtempSync(join(tmpdir(), "fitloop-typescript-"));
      try {
        await project.run("npm", "install", "--prefix", compiler, "--no-audit", "--no-fund", "typescript@latest");
        const tsc = join(compiler, "node_modules/typescript/bin/tsc");
        expect(await typeProblems(project, tsc, resolution)).toBe("");
      } finally {
        rmSync(compiler, { recursive: true, force: true });
      }
    },
  );

  test("a script imports every entry", async () => {
    project.write(
      "entries.mjs",
      `import { Trainer, tf } from "fitloop";
       import { shapes } from "fitloop/data";
       import { resnet9 } from "fitloop/models";
       import { cutmix } from "fitloop/plugins";
       import { presets } from "fitloop/presets";
       import { microConfig } from "fitloop/testing";
       const { summary } = await new Trainer({ ...microConfig(), maxSteps: 1 }).fit();
       console.log(summary.steps, typeof tf.scalar(1).mul(2).dataSync()[0], [shapes, resnet9, cutmix, presets.quickstart.create].map((each) => typeof each).join());`,
    );
    const { stdout, stderr } = await project.run(process.execPath, "entries.mjs");
    expect(stdout).toBe("1 number function,function,function,function\n");
    expect(complaintsIn(stderr)).toEqual([]);
  });
});

test("every command of the program is used here", () => {
  const leaves = (command: Command, path: string): string[] =>
    command.commands.length === 0
      ? [path.trim()]
      : command.commands.flatMap((each) => leaves(each, `${path} ${each.name()}`));
  const used = new Set(["init", ...uses.map(([command]) => command)]);
  expect(leaves(createProgram(), "").sort()).toEqual([...used].sort());
});

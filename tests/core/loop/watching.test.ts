/** R1 and C2: what only looks at a run, keeps it or talks about it changes no bit of its weights. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { type Hooks, hookNames, type Plugin, type Trainer, type TrainerConfig } from "../../../core/index.js";
import type { FitOptions } from "../../../core/loop/fit.js";
import { type Fitted, fitWeights, microConfig } from "../../../core/testing/index.js";
import * as plugins from "../../../plugins/index.js";
import { createCheckpointWriter } from "../../../run/checkpoint-writer.js";
import { createRunRecord } from "../../../run/record.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-watching-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const folder = (): string => mkdtempSync(join(base, "run-"));

const micro = (overrides: Partial<TrainerConfig> = {}): TrainerConfig =>
  microConfig({
    data: shapes({ classes: 4, size: 8, train: 42, test: 6 }),
    epochs: 4,
    ...overrides,
    plugins: [
      plugins.dropout({ rate: 0.2 }),
      plugins.randomCropFlip({ padding: 1 }),
      plugins.cutmix({ probability: 0.5 }),
      plugins.labelSmoothing(),
      plugins.gradientAccumulation({ factor: 2 }),
      plugins.warmup({ epochs: 1 }),
      plugins.cosine(),
      ...(overrides.plugins ?? []),
    ],
  });

let plain: Fitted;
beforeAll(async () => void (plain = await fitWeights(micro())));

/** Taps every hook, passes on what it is given, and reads what it can. */
const onlooker: Plugin = {
  name: "onlooker",
  options: {},
  observer: true,
  apply({ hooks }) {
    const silent = ["shouldStep", "shouldStop"];
    for (const hook of hookNames) {
      const { tap } = hooks[hook] as Hooks["resolveLearningRate"];
      tap((value) => {
        JSON.stringify(value, (key, item: unknown) =>
          key === "weights" || key === "hooks" || item instanceof Map ? "…" : item,
        );
        return (silent.includes(hook) ? undefined : value) as number;
      });
    }
  },
};

interface Watched extends FitOptions {
  before?: (trainer: Trainer) => void;
}

it.each<[string, Partial<TrainerConfig>, (() => Watched)?]>([
  ["evaluating every other epoch", { evaluateEvery: 2 }],
  ["evaluating at the end only", { evaluateEvery: 100 }],
  ["fewer test images", { limitTest: 2 }],
  ["another name", { name: "another" }],
  ["another limit for hooks", { hookTimeout: 5 }],
  ["going on after a step that is not finite", { onDivergence: { skip: 2 } }],
  ["going back after one", { onDivergence: { rollback: 1 } }],
  ["a test-time view more", { plugins: [plugins.testTimeAugmentation({ flip: true })] }],
  ["averaged weights beside", { plugins: [plugins.ema()] }],
  ["early stopping that never stops", { plugins: [plugins.earlyStopping({ patience: 1000 })] }],
  ["Grad-CAM", { plugins: [plugins.gradCam()] }, () => ({ folder: folder() })],
  ["logs for VisualDL and TensorBoard", { plugins: [plugins.visualLog()] }, () => ({ folder: folder() })],
  ["somebody who taps every hook", { plugins: [onlooker] }],
  ["a checkpoint every step", {}, () => ({ onResumePoint: createCheckpointWriter({ folder: folder(), every: 1 }) })],
  ["a checkpoint every third", {}, () => ({ onResumePoint: createCheckpointWriter({ folder: folder(), every: 3 }) })],
  [
    "listeners to everything",
    {},
    () => ({ before: ({ events }) => events.on("*", (_, value) => void JSON.stringify(value)) }),
  ],
  [
    "listeners that fail",
    {},
    () => ({
      before: ({ events }) =>
        events.on("step", () => {
          throw new Error("as told");
        }),
    }),
  ],
])("%s", async (_, config, watched = () => ({})) => {
  const { hash, weights } = await fitWeights(micro(config), watched());
  if (hash !== plain.hash) expect(weights).toEqual(plain.weights); // says which, and by how much
  expect(hash).toBe(plain.hash);
});

it.each([1, 3, 1000])("metrics every %i steps", async (logEvery) => {
  const { plugin } = createRunRecord({ logEvery });
  expect((await fitWeights(micro({ plugins: [plugin] }), { folder: folder() })).hash).toBe(plain.hash);
});

it("another seed gives other bits", async () => {
  expect((await fitWeights(micro({ seed: 2 }))).hash).not.toBe(plain.hash);
});

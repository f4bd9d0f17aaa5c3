/**
 * R2 at length: from every point what tests/core/loop/resume.test.ts tries in samples, and all of them together, with both optimizers
 * and on both backends. Sharpness-aware minimisation is no plugin here, so there is none to resume.
 */
import { describe, expect, it } from "vitest";
import { adamw, loadBackend, sgd } from "../../core/index.js";
import {
  cosineRestarts,
  differentialLr,
  earlyStopping,
  ema,
  gradientAccumulation,
  l2,
  warmup,
} from "../../plugins/index.js";
import { micro, mustResumeFromEverywhere, resumable } from "../support/traced.js";

const together = () => [
  gradientAccumulation({ factor: 2 }),
  cosineRestarts({ firstCycle: 2, factor: 1 }),
  warmup({ epochs: 1 }),
  differentialLr({ freeze: 1, unfreezeEvery: 3 }),
  ema({ decay: 0.9 }),
  earlyStopping({ patience: 6, minDelta: 0.05 }),
];

it.each(resumable)("%s resumes from every micro-batch", async (_, overrides) => {
  await loadBackend({ name: "tensorflow" });
  expect(await mustResumeFromEverywhere(micro({ ...overrides, backend: "tensorflow" }))).toBeGreaterThan(64);
});

it.each([
  ["averaged weights", [ema({ decay: 0.9 }), cosineRestarts({ firstCycle: 2, factor: 1 })]],
  [
    "early stopping that waits, and layers that thaw",
    [
      ema({ decay: 0.9 }),
      differentialLr({ freeze: 1, unfreezeEvery: 3 }),
      earlyStopping({ patience: 6, minDelta: 0.05 }),
    ],
  ],
])("%s resumes from every micro-batch", async (_, plugins) => {
  await loadBackend({ name: "tensorflow" });
  expect(await mustResumeFromEverywhere(micro({ plugins, backend: "tensorflow" }))).toBeGreaterThan(64);
});

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  it.each([
    [
      "SGD with momentum",
      { optimizer: sgd({ momentum: 0.9, nesterov: true }), plugins: [...together(), l2({ decay: 1e-3 })] },
    ],
    ["AdamW", { optimizer: adamw({ weightDecay: 0.01 }), learningRate: 0.003, plugins: together() }],
  ])("%s and everything together resumes from every micro-batch", async (_, config) => {
    await loadBackend({ name: backend });
    expect(await mustResumeFromEverywhere(micro({ ...config, backend }))).toBeGreaterThan(64);
  });
});

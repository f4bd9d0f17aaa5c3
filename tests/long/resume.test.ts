/**
 * R2 at length: the parts that tests/core/loop/resume.test.ts has no time for, and all of them together, with both optimizers
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
import { micro, mustGoOnFromEverywhere } from "../support/traced.js";

const together = () => [
  gradientAccumulation({ factor: 2 }),
  cosineRestarts({ firstCycle: 2, factor: 1 }),
  warmup({ epochs: 1 }),
  differentialLr({ freeze: 1, unfreezeEvery: 3 }),
  ema({ decay: 0.9 }),
  earlyStopping({ patience: 6, minDelta: 0.05 }),
];

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
])("%s goes on from every micro-batch", async (_, plugins) => {
  await loadBackend({ name: "tensorflow" });
  expect(await mustGoOnFromEverywhere(micro({ plugins, backend: "tensorflow" }))).toBeGreaterThan(64);
});

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  it.each([
    [
      "SGD with momentum",
      { optimizer: sgd({ momentum: 0.9, nesterov: true }), plugins: [...together(), l2({ decay: 1e-3 })] },
    ],
    ["AdamW", { optimizer: adamw({ weightDecay: 0.01 }), learningRate: 0.003, plugins: together() }],
  ])("%s and everything together goes on from every micro-batch", async (_, config) => {
    await loadBackend({ name: backend });
    expect(await mustGoOnFromEverywhere(micro({ ...config, backend }))).toBeGreaterThan(64);
  });
});

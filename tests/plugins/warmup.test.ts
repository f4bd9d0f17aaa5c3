import { describe, expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { multiStep } from "../../plugins/multi-step/index.js";
import { warmth, warmup } from "../../plugins/warmup/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("warmup", () => {
  it.each(golden.warmUp)("is PyTorch's over $steps", ({ steps, rates }) => {
    expectRates(
      rates.map((_, step) => peak * warmth(step, steps)),
      rates,
    );
  });

  it("multiplies what a schedule gives, wherever it stands in the list", () => {
    const rates = [
      mountPlugin(warmup({ epochs: 2 }), {
        config: { plugins: [multiStep({ milestones: [1], gamma: 0.5 })] },
      }),
      mountPlugin(multiStep({ milestones: [1], gamma: 0.5 }), {
        config: { plugins: [warmup({ epochs: 2 })] },
      }),
    ].map(({ call }) => call.resolveLearningRate(1, progressAt({ step: 29, stepsPerEpoch: 20 })));
    expect(rates).toEqual([0.375, 0.375]);
  });
});

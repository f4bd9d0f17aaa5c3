import { describe, expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { annealed, cosine } from "../../plugins/cosine/index.js";
import { oneCycle } from "../../plugins/one-cycle/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("cosine", () => {
  it.each(golden.cosine)("is PyTorch's over $steps", ({ steps, minimum, rates }) => {
    expectRates(
      rates.map((_, step) => annealed(step, steps, peak, minimum)),
      rates,
    );
  });

  it("covers the whole run", () => {
    const { call } = mountPlugin(cosine({ minimum: 0.01 }));
    expect(call.resolveLearningRate(0.5, progressAt({ step: 0 }))).toBe(0.5);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 100 }))).toBeCloseTo(0.255, 12);
  });

  it("only one plugin may set the schedule", () => {
    expect(() => mountPlugin(cosine(), { config: { plugins: [oneCycle()] } })).toThrow(
      'Plugins "one-cycle" and "cosine" both set the schedule. Remove one of them.',
    );
  });
});

import { expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { polynomial, polynomialRate } from "../../plugins/polynomial/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

it.each(golden.polynomial)("is PyTorch's with power $power over $steps steps", ({ steps, power, rates }) => {
  expectRates(
    rates.map((_, step) => polynomialRate(step, steps, peak, power, 0)),
    rates,
  );
});

it("ends at its minimum, over all steps of the run", () => {
  expect(polynomialRate(10, 10, 1, 2, 0.25)).toBe(0.25);
  const { call } = mountPlugin(polynomial({ power: 1 }));
  const progress = progressAt({ step: 3 });
  expect(call.resolveLearningRate(2, progress)).toBeCloseTo(2 * (1 - 3 / progress.totalSteps), 12);
});

import { describe, expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { oneCycle, oneCycleRate } from "../../plugins/one-cycle/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("one-cycle", () => {
  it.each(golden.oneCycle.filter(({ anneal }) => anneal === "cos"))("is PyTorch's over $steps", (table) => {
    const { steps, warmUp, divide, divideLast, rates } = table;
    const settings = { pctStart: warmUp, divFactor: divide, finalDivFactor: divideLast };
    expectRates(
      rates.map((_, step) => oneCycleRate(step, steps, peak, settings)),
      rates,
    );
  });

  it("ends 25 × 1e4 below the peak, at the last step", () => {
    const { call } = mountPlugin(oneCycle());
    expect(call.resolveLearningRate(0.5, progressAt({ step: 0 }))).toBeCloseTo(0.02, 12);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 59 }))).toBeCloseTo(0.5, 12);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 199 }))).toBeCloseTo(2e-6, 12);
  });

  it("stays finite without a rise and over a single step", () => {
    const settings = { pctStart: 0, divFactor: 25, finalDivFactor: 1e4 };
    const rates = Array.from({ length: 10 }, (_, step) => oneCycleRate(step, 10, 1, settings));
    expect(rates.every((rate, step) => Number.isFinite(rate) && (step === 0 || rate < rates[step - 1]!))).toBe(true);
    expect(oneCycleRate(0, 1, 1, settings)).toBeCloseTo(4e-6, 12);
  });
});

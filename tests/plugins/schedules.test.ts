import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { annealed, cosine } from "../../plugins/cosine/index.js";
import { cosineRestarts, cycleAt, restartedCosine } from "../../plugins/cosine-restarts/index.js";
import { multiStep, stepped } from "../../plugins/multi-step/index.js";
import { oneCycle, oneCycleRate } from "../../plugins/one-cycle/index.js";
import { warmth, warmup } from "../../plugins/warmup/index.js";

interface Golden {
  peak: number;
  cosineRestarts: { firstCycle: number; factor: number; minimum: number; rates: number[] }[];
  cosine: { steps: number; minimum: number; rates: number[] }[];
  oneCycle: {
    steps: number;
    warmUp: number;
    anneal: string;
    divide: number;
    divideLast: number;
    rates: number[];
  }[];
  warmUp: { steps: number; rates: number[] }[];
  multiStep: { at: number[]; gamma: number; rates: number[] }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/torch/schedules.json", import.meta.url), "utf8")) as Golden;
const { peak } = golden;

/** PyTorch goes from value to value in some schedules, so its last digits wander; ours are closed forms. */
function expectRates(rates: readonly number[], expected: readonly number[]): void {
  expect(rates).toHaveLength(expected.length);
  rates.forEach((rate, step) => expect(Math.abs(rate - expected[step]!), `step ${step}`).toBeLessThan(1e-14));
}

describe("against PyTorch", () => {
  it.each(golden.cosineRestarts)("cosine-restarts $firstCycle × $factor from $minimum", (table) => {
    const { firstCycle, factor, minimum, rates } = table;
    expectRates(
      rates.map((_, step) => restartedCosine(step, peak, firstCycle, factor, minimum)),
      rates,
    );
  });

  it.each(golden.cosine)("cosine over $steps", ({ steps, minimum, rates }) => {
    expectRates(
      rates.map((_, step) => annealed(step, steps, peak, minimum)),
      rates,
    );
  });

  it.each(golden.oneCycle.filter(({ anneal }) => anneal === "cos"))("one-cycle over $steps", (table) => {
    const { steps, warmUp, divide, divideLast, rates } = table;
    const settings = { pctStart: warmUp, divFactor: divide, finalDivFactor: divideLast };
    expectRates(
      rates.map((_, step) => oneCycleRate(step, steps, peak, settings)),
      rates,
    );
  });

  it.each(golden.warmUp)("warmup over $steps", ({ steps, rates }) => {
    expectRates(
      rates.map((_, step) => peak * warmth(step, steps)),
      rates,
    );
  });

  it.each(golden.multiStep)("multi-step at $at", ({ at, gamma, rates }) => {
    expectRates(
      rates.map((_, epoch) => stepped(epoch, peak, at, gamma)),
      rates,
    );
  });
});

describe("cosine-restarts", () => {
  it("is at the peak at every restart, for every first cycle and factor", () => {
    const wrong: string[] = [];
    for (let first = 1; first <= 50; first++) {
      for (let factor = 1; factor <= 4; factor++) {
        for (let start = 0, length = first; start < 5000; start += length, length *= factor) {
          const last = cycleAt(start + length - 1, first, factor);
          const peakAtStart = restartedCosine(start, 0.1, first, factor, 1e-6) === 0.1;
          const lowAtEnd = length === 1 || restartedCosine(start + length - 1, 0.1, first, factor, 1e-6) < 0.1;
          if (!peakAtStart || !lowAtEnd || last.start !== start || last.length !== length) {
            wrong.push(`${first} × ${factor} at ${start}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it("counts cycles in epochs and moves with every optimizer step", () => {
    const { call } = mountPlugin(cosineRestarts({ firstCycle: 2, minimum: 0 }));
    const at = (step: number): number =>
      call.resolveLearningRate(1, progressAt({ step, epoch: Math.floor(step / 20), stepsPerEpoch: 20 }));
    expect([at(0), at(40), at(120)]).toEqual([1, 1, 1]);
    expect(at(1)).toBeCloseTo(0.5 * (1 + Math.cos(Math.PI / 40)), 12);
    expect(at(41)).toBeCloseTo(0.5 * (1 + Math.cos(Math.PI / 80)), 12);
  });

  it("warns of a run that ends inside a cycle, and only that", () => {
    const hints = (epochs: number): readonly string[] => mountPlugin(cosineRestarts(), { config: { epochs } }).hints;
    expect(hints(30)).toEqual([]);
    expect(hints(10)).toEqual([]);
    expect(hints(50)).toEqual([expect.stringContaining("Whole cycles end after 30 or 70 epochs")]);
    expect(hints(5)).toEqual([expect.stringContaining("Whole cycles end after 10 epochs")]);
  });
});

describe("schedules at their hook", () => {
  it("one-cycle ends 25 × 1e4 below the peak, at the last step", () => {
    const { call } = mountPlugin(oneCycle());
    expect(call.resolveLearningRate(0.5, progressAt({ step: 0 }))).toBeCloseTo(0.02, 12);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 59 }))).toBeCloseTo(0.5, 12);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 199 }))).toBeCloseTo(2e-6, 12);
  });

  it("one-cycle without a rise, and over a single step, stays finite", () => {
    const settings = { pctStart: 0, divFactor: 25, finalDivFactor: 1e4 };
    const rates = Array.from({ length: 10 }, (_, step) => oneCycleRate(step, 10, 1, settings));
    expect(rates.every((rate, step) => Number.isFinite(rate) && (step === 0 || rate < rates[step - 1]!))).toBe(true);
    expect(oneCycleRate(0, 1, 1, settings)).toBeCloseTo(4e-6, 12);
  });

  it("cosine covers the whole run", () => {
    const { call } = mountPlugin(cosine({ minimum: 0.01 }));
    expect(call.resolveLearningRate(0.5, progressAt({ step: 0 }))).toBe(0.5);
    expect(call.resolveLearningRate(0.5, progressAt({ step: 100 }))).toBeCloseTo(0.255, 12);
  });

  it("multi-step drops at the first step of an epoch and names milestones that never come", () => {
    const { call, hints } = mountPlugin(multiStep({ milestones: [2, 50], gamma: 0.1 }), {
      config: { epochs: 10 },
    });
    expect(call.resolveLearningRate(1, progressAt({ step: 39 }))).toBe(1);
    expect(call.resolveLearningRate(1, progressAt({ step: 40 }))).toBe(0.1);
    expect(hints).toEqual([expect.stringContaining("never reaches 50")]);
  });

  it("warmup multiplies what a schedule gives, wherever it stands in the list", () => {
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

  it("only one plugin may set the schedule", () => {
    expect(() => mountPlugin(cosine(), { config: { plugins: [oneCycle()] } })).toThrow(
      'Plugins "one-cycle" and "cosine" both set the schedule. Remove one of them.',
    );
  });
});

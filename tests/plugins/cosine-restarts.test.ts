import { describe, expect, it } from "vitest";
import { cycleAt } from "../../core/cycles.js";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { cosineRestarts, restartedCosine } from "../../plugins/cosine-restarts/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("cosine-restarts", () => {
  it.each(golden.cosineRestarts)("is PyTorch's: $firstCycle × $factor from $minimum", (table) => {
    const { firstCycle, factor, minimum, rates } = table;
    expectRates(
      rates.map((_, step) => restartedCosine(step, peak, firstCycle, factor, minimum)),
      rates,
    );
  });

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

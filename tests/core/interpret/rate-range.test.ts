import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  createSmoothing,
  explodes,
  type RatePoint,
  type RateSuggestion,
  rateAt,
  smoothed,
  suggestRates,
} from "../../../core/interpret/rate-range.js";

describe("the range test", () => {
  it("goes from the first rate to the last in equal factors", () => {
    const rates = Array.from({ length: 5 }, (_, step) => rateAt(step, 5, 1e-4, 1));
    rates.forEach((rate, step) => expect(rate / 10 ** (step - 4)).toBeCloseTo(1, 10));
    expect(rateAt(0, 1, 0.1, 1)).toBe(0.1);
  });

  it("averages without the bias of the first losses", () => {
    expect(smoothed([3, 3, 3])).toEqual([3, 3, 3].map((value) => expect.closeTo(value, 10)));
    expect(smoothed([1, 2], 0.5)[1]).toBeCloseTo((0.25 * 1 + 0.5 * 2) / 0.75, 12);
  });

  it("averages step by step to the same bits as all at once", () => {
    const losses = Array.from({ length: 200 }, (_, at) => 2 + Math.sin(at * at));
    const smooth = createSmoothing();
    losses.forEach((loss, at) => expect(smooth(loss)).toBe(smoothed(losses.slice(0, at + 1)).at(-1)));
    expect(createSmoothing(0.5)(3)).toBe(3);
  });

  /** A loss that falls as a logistic curve around `centre` and breaks away behind `edge`, over decades of the rate. */
  const curve = (centre: number, edge: number): RatePoint[] =>
    Array.from({ length: 400 }, (_, step) => {
      const rate = rateAt(step, 400, 1e-6, 10);
      const decades = Math.log10(rate);
      const loss = 4 - 3 / (1 + Math.exp(-4 * (decades - centre))) + Math.exp(6 * (decades - edge));
      return { rate, loss };
    });

  const suggested = (points: RatePoint[], chance?: number): RateSuggestion => {
    const found = suggestRates(points, chance);
    if ("problem" in found) throw new Error(JSON.stringify(found));
    return found;
  };

  it.each([
    [-3, 0],
    [-2, 0.5],
  ])("suggests the steepest rate near 1e%s and a tenth of the lowest's below 1e%s", (centre, edge) => {
    const found = suggested(curve(centre, edge));
    expect(Math.abs(Math.log10(found.steepest) - centre)).toBeLessThan(0.4); // the average lags a little
    expect(found.safe).toBeLessThan(10 ** edge / 10);
    expect(found.safe).toBeGreaterThan(found.steepest / 10);
  });

  it("suggests nothing where the loss never falls", () => {
    expect(suggestRates(curve(-3, -7).map(({ rate }, at) => ({ rate, loss: 4 + at })))).toMatchObject({
      problem: "flat",
    });
    expect(suggestRates([])).toMatchObject({ problem: "short" });
    expect(suggestRates([{ rate: 1, loss: 3 }])).toMatchObject({ problem: "short", lowest: 3 });
  });

  it("ends at NaN and at four times the lowest", () => {
    expect([explodes(4.1, 1), explodes(3.9, 1), explodes(Number.NaN, 1), explodes(Infinity, 1)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });
});

describe("curves that lr-find measured", () => {
  const { curves } = JSON.parse(readFileSync(new URL("../../golden/rate-range.json", import.meta.url), "utf8")) as {
    curves: {
      preset: string;
      seed: number;
      classes: number;
      presetRate: number;
      from: number;
      to: number;
      steps: number;
      losses: number[];
    }[];
  };
  const found = curves.map(({ losses, steps, from, to, classes, ...curve }) => ({
    ...curve,
    steps,
    found: suggestRates(
      losses.map((loss, step) => ({ rate: rateAt(step, steps, from, to), loss })),
      Math.log(classes),
    ),
  }));

  it("are too flat in 100 steps on both presets, and in 200 on quickstart", () => {
    const flat = found.filter((curve) => "problem" in curve.found);
    expect(flat.map(({ preset, seed, steps }) => `${preset} ${seed}, ${steps} steps`)).toEqual([
      "quickstart 1, 100 steps",
      "quickstart 2, 100 steps",
      "quickstart 1, 200 steps",
      "cifar100-small 1, 100 steps",
    ]);
  });

  it("give a safe rate within a factor of two of the preset's where they are not", () => {
    const told = found.flatMap(({ presetRate, found: rates }) => ("problem" in rates ? [] : [rates.safe / presetRate]));
    expect(told).toHaveLength(4);
    for (const ratio of told) expect(Math.abs(Math.log2(ratio))).toBeLessThan(1);
  });
});

import { describe, expect, it } from "vitest";
import {
  createSmoothing,
  explodes,
  type RatePoint,
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

  it.each([
    [-3, 0],
    [-2, 0.5],
  ])("suggests the steepest rate near 1e%s and a tenth of the lowest's below 1e%s", (centre, edge) => {
    const found = suggestRates(curve(centre, edge))!;
    expect(Math.abs(Math.log10(found.steepest) - centre)).toBeLessThan(0.4); // the average lags a little
    expect(found.safe).toBeLessThan(10 ** edge / 10);
    expect(found.safe).toBeGreaterThan(found.steepest / 10);
  });

  it("suggests nothing where the loss never falls", () => {
    expect(suggestRates(curve(-3, -7).map(({ rate }, at) => ({ rate, loss: 4 + at })))).toBeUndefined();
    expect(suggestRates([])).toBeUndefined();
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

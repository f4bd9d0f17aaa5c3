/** Quantiles and intervals against scipy's. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { armDifferences, studentT } from "../../core/student-t.js";

const golden: {
  quantiles: { probability: number; degrees: number; t: number }[];
  values: [number[], ...number[][]];
  differences: { difference: number; margin: number }[];
} = JSON.parse(readFileSync(new URL("../golden/statistics/golden.json", import.meta.url), "utf8"));

describe("studentT", () => {
  it("is scipy's t.ppf", () => {
    for (const { probability, degrees, t } of golden.quantiles) {
      const name = `${probability} of ${degrees}`;
      expect(Math.abs(studentT(probability, degrees) / t - 1), name).toBeLessThan(1e-9);
    }
  });
});

describe("armDifferences", () => {
  it("has the differences and intervals of a least-squares fit of arm and seed, for all arms at once", () => {
    const [baseline, ...arms] = golden.values;
    const found = armDifferences(baseline, new Map(arms.map((values, arm) => [String(arm), values])));
    for (const [arm, { difference, margin }] of golden.differences.entries()) {
      expect(found.get(String(arm))!.difference).toBeCloseTo(difference, 12);
      expect(found.get(String(arm))!.margin / margin).toBeCloseTo(1, 9);
    }
  });

  it("is paired: what a seed adds to every arm changes nothing", () => {
    const base = [0.5, 0.52, 0.51];
    const arm = [0.55, 0.56, 0.57];
    const shift = [0.1, -0.2, 0.05];
    const plus = (values: number[]): number[] => values.map((value, seed) => value + shift[seed]!);
    const plain = armDifferences(base, new Map([["a", arm]])).get("a")!;
    const shifted = armDifferences(plus(base), new Map([["a", plus(arm)]])).get("a")!;
    expect(shifted.difference).toBeCloseTo(plain.difference, 12);
    expect(shifted.margin).toBeCloseTo(plain.margin, 12);
  });

  it("has no interval with one seed", () => {
    expect(armDifferences([0.5], new Map([["a", [0.6]]])).get("a")).toEqual({
      difference: expect.closeTo(0.1, 12),
      margin: Number.NaN,
    });
  });
});

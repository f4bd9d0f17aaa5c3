import { expect, it } from "vitest";
import { wilson } from "../../../core/interpret/wilson.js";

it("gives the intervals of statsmodels' proportion_confint(…, method='wilson')", () => {
  const rounded = (hits: number, count: number): number[] =>
    Object.values(wilson(hits, count)).map((end) => Number(end.toFixed(4)));
  expect(rounded(8, 10)).toEqual([0.4902, 0.9433]);
  expect(rounded(50, 100)).toEqual([0.4038, 0.5962]);
  expect(rounded(0, 10)).toEqual([0, 0.2775]);
  expect(rounded(10, 10)).toEqual([0.7225, 1]);
  expect(rounded(0, 0), "no image says nothing").toEqual([0, 1]);
});

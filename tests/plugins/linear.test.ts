import { expect, it } from "vitest";
import { linearRate } from "../../plugins/linear/index.js";

const shape = { start: 0.2, peak: 0.25, end: 0.1 };

it("rises and falls along lines: start at the first step, the peak at its place, the end one step after the last", () => {
  expect(linearRate(0, 100, 2, shape)).toBeCloseTo(0.4, 12);
  expect(linearRate(10, 100, 2, shape)).toBeCloseTo(2 * (0.2 + (0.8 * 10) / 25), 12);
  expect(linearRate(25, 100, 2, shape)).toBeCloseTo(2, 12);
  expect(linearRate(70, 100, 2, shape)).toBeCloseTo(2 * (1 - (0.9 * 45) / 75), 12);
  expect(linearRate(100, 100, 2, shape)).toBeCloseTo(0.2, 12);
});

it("is at its peak in a whole step, as numpy.interp over Jordan's knots (0, int(0.23 · 476), 476)", () => {
  const given = { start: 0.2, peak: 0.23, end: 0.07 };
  expect([0, 50, 109, 110, 475].map((step) => linearRate(step, 476, 1.5, given))).toEqual(
    [0.3, 0.8504587155963303, 1.5, 1.4961989100817439, 0.10880108991825613].map((rate) => expect.closeTo(rate, 12)),
  );
});

it("may begin at its peak", () => {
  expect(linearRate(0, 10, 1, { start: 0.2, peak: 0, end: 0 })).toBe(1);
  expect(linearRate(5, 10, 1, { start: 0.2, peak: 0, end: 0 })).toBeCloseTo(0.5, 12);
});

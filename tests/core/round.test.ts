import { expect, it } from "vitest";
import { roundHalfEven } from "../../core/round.js";

it.each([
  [0.5, 0],
  [1.5, 2],
  [2.5, 2],
  [-0.5, -0],
  [-1.5, -2],
  [-2.5, -2],
  [0.49999999999999994, 0],
  [2.4, 2],
  [2.6, 3],
  [-2.6, -3],
  [Infinity, Infinity],
  [NaN, NaN],
])("%d is rounded to %d", (value, whole) => {
  expect(roundHalfEven(value) + 0).toBe(whole + 0);
});

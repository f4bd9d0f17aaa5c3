import { expect, it } from "vitest";
import { foursOf, grid, lies, peak, quarters, toleranceOf } from "../../../core/interpret/pointing-game.js";

it("finds the largest place of a map, the first of equal ones, none in a map of zeros", () => {
  expect(peak([0, 0.2, 0.9, 0.9, 0.1, 0], 3)).toEqual([0, 2]);
  expect(peak([0, 0, 0, 0.1], 2)).toEqual([1, 1]);
  expect(peak([0, 0, 0, 0], 2)).toBeUndefined();
  expect(peak([NaN, 0, 0, 0.1], 2)).toEqual([1, 1]);
});

it("a box holds its first row and column, and not its last", () => {
  const box = [1, 2, 3, 5] as const;
  const inside = [0, 1, 2, 3].flatMap((row) => [1, 2, 4, 5].filter((column) => lies([row, column], box)));
  expect(inside).toEqual([2, 4, 2, 4]);
  expect(lies([0, 1], box, 1)).toBe(true);
  expect(lies([0, 0], box, 1)).toBe(false);
  expect(toleranceOf(224)).toBe(15);
});

it("puts four images in quarters, in the order of the quarters", () => {
  const image = (value: number): Uint8Array => new Uint8Array(2 * 2 * 3).fill(value);
  const whole = grid([image(1), image(2), image(3), image(4)], { height: 2, width: 2 });
  const at = (row: number, column: number): number => whole[3 * (row * 4 + column)]!;
  const means = quarters(4, 4).map(([top, left, bottom, right]) => {
    const seen = new Set<number>();
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++) seen.add(at(row, column));
    return [...seen];
  });
  expect(means).toEqual([[1], [2], [3], [4]]);
});

it("makes fours of four classes, each image at most once", () => {
  const labels = [0, 0, 0, 1, 1, 2, 2, 3, 3, 4];
  const fours = foursOf(labels);
  for (const four of fours) expect(new Set(four.map((at) => labels[at])).size).toBe(4);
  expect(new Set(fours.flat()).size).toBe(4 * fours.length);
  expect(fours).toHaveLength(2);
  expect(foursOf([0, 1, 2])).toEqual([]);
});

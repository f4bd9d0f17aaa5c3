import { expect, it } from "vitest";
import { mountPlugin } from "../../core/testing/index.js";
import { cutout } from "../../plugins/cutout/index.js";

const white = { pixels: new Uint8Array(6 * 8 * 3).fill(255), height: 6, width: 8, label: 0 };

/** Places of the pixels that were painted over. */
function painted(pixels: Uint8Array): { rows: number[]; columns: number[] } {
  const places = [...Array(48).keys()].filter((place) => pixels[3 * place] !== 255);
  const unique = (numbers: number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);
  return { rows: unique(places.map((each) => Math.floor(each / 8))), columns: unique(places.map((each) => each % 8)) };
}

it("paints one square of the size asked for, inside the image, at every place as often as at any other", () => {
  const { call, dispose } = mountPlugin(cutout({ size: 3 }));
  const corners = new Map<string, number>();
  for (let index = 0; index < 4800; index++) {
    const { rows, columns } = painted(call.beforeSample({ ...white, index }, 0).pixels);
    expect([rows.length, columns.length]).toEqual([3, 3]);
    expect(rows[2]! - rows[0]!).toBe(2);
    expect(columns[2]! - columns[0]!).toBe(2);
    const corner = `${rows[0]},${columns[0]}`;
    corners.set(corner, (corners.get(corner) ?? 0) + 1);
  }
  expect(corners.size).toBe(4 * 6);
  for (const count of corners.values()) expect(Math.abs(count - 200)).toBeLessThan(5 * Math.sqrt(200));
  dispose();
});

it("covers an image that is smaller than the square", () => {
  const { call, dispose } = mountPlugin(cutout({ size: 100 }));
  expect(painted(call.beforeSample({ ...white, index: 1 }, 0).pixels)).toEqual({
    rows: [0, 1, 2, 3, 4, 5],
    columns: [0, 1, 2, 3, 4, 5, 6, 7],
  });
  dispose();
});

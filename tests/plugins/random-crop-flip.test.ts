import { describe, expect, it } from "vitest";
import type { Sample } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randomCropFlip } from "../../plugins/random-crop-flip/index.js";

/** Red holds the row, green the column, counted from 1: black is what came in from outside. */
function ramp(size: number, index: number): Sample {
  const pixels = new Uint8Array(size * size * 3);
  for (let at = 0; at < size * size; at++) {
    pixels[at * 3] = 1 + Math.floor(at / size);
    pixels[at * 3 + 1] = 1 + (at % size);
  }
  return { pixels, height: size, width: size, label: 3, index };
}

describe("random-crop-flip", () => {
  it("reaches every shift in both directions equally often, and mirrors half", () => {
    const { call } = mountPlugin(randomCropFlip({ padding: 2 }));
    const counts = new Map<string, number>();
    const images = 5000;
    let mirrored = 0;
    for (let index = 0; index < images; index++) {
      const { pixels } = call.beforeSample(ramp(5, index), 0);
      const middle = pixels.subarray(12 * 3, 12 * 3 + 2); // always inside
      const flipped = pixels[11 * 3 + 1]! > pixels[13 * 3 + 1]!;
      mirrored += Number(flipped);
      const key = `${middle[0]! - 3},${middle[1]! - 3}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(25);
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    expect(chiSquare).toBeLessThan(51.2); // 24 degrees of freedom, p = 0.001
    expect(Math.abs(mirrored / images - 0.5)).toBeLessThan(0.03);
  });

  it("is a function of seed, epoch and sample, and leaves its argument alone", () => {
    const { call } = mountPlugin(randomCropFlip());
    const sample = ramp(8, 7);
    const before = sample.pixels.slice();
    const [first, again, later] = [
      call.beforeSample(sample, 0),
      call.beforeSample(sample, 0),
      call.beforeSample(sample, 1),
    ];
    expect(sample.pixels).toEqual(before);
    expect(again.pixels).toEqual(first.pixels);
    expect(later.pixels).not.toEqual(first.pixels);
    expect(first).toMatchObject({ label: 3, index: 7, height: 8, width: 8 });
    const other = mountPlugin(randomCropFlip(), { config: { seed: 2 } });
    expect(other.call.beforeSample(sample, 0).pixels).not.toEqual(first.pixels);
  });

  it("shows the two sides of an image in turn when it alternates, starting with either as often", () => {
    const { call } = mountPlugin(randomCropFlip({ padding: 0, flip: "alternating" }));
    let mirrored = 0;
    for (let index = 0; index < 2000; index++) {
      const sides = [0, 1, 2, 3].map((epoch) => call.beforeSample(ramp(3, index), epoch).pixels[1]! > 1);
      expect(sides).toEqual([sides[0], !sides[0], sides[0], !sides[0]]);
      mirrored += Number(sides[0]);
    }
    expect(Math.abs(mirrored / 2000 - 0.5)).toBeLessThan(0.05);
  });

  it("reflects the image at its border, without repeating the border", () => {
    const { call } = mountPlugin(randomCropFlip({ padding: 2, border: "reflect", flip: 0 }));
    const line = [3, 2, 1, 2, 3, 4, 5, 4, 3]; // rows 1 to 5 with two reflected on either side
    for (let index = 0; index < 200; index++) {
      const { pixels } = call.beforeSample(ramp(5, index), 0);
      const rows = [0, 1, 2, 3, 4].map((row) => pixels[row * 15]!);
      const columns = [0, 1, 2, 3, 4].map((column) => pixels[column * 3 + 1]!);
      expect(line.join().includes(rows.join())).toBe(true);
      expect(line.join().includes(columns.join())).toBe(true);
    }
  });
});

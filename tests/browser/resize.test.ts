import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { centred, interpolate, resample } from "../../browser/resize.js";
import { loadBackend } from "../../core/backend/index.js";
import { openDecoder } from "../../core/data/decode.js";
import * as ops from "../../core/nn/ops.js";
import { stream } from "../../core/rng.js";

/** Something like a photo: waves of several lengths and a little noise. */
function photo(width: number, height: number): Uint8Array {
  const random = stream(3, "photo");
  return Uint8Array.from({ length: width * height * 3 }, (_, place) => {
    const [x, y, channel] = [Math.floor(place / 3) % width, Math.floor(place / 3 / width), place % 3];
    const wave = Math.sin(x / (9 + channel)) + Math.sin((x + 2 * y) / 31) + Math.cos(y / 17);
    return Math.max(0, Math.min(255, 128 + 38 * wave + random.range(-8, 8)));
  });
}

const meanDifference = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, each, at) => sum + Math.abs(each - b[at]!), 0) / a.length;

describe("resample", () => {
  it.each([
    [500, 375, 224],
    [500, 375, 96],
    [375, 500, 64],
    [501, 333, 32],
    [1200, 800, 64],
    [40, 30, 64], // enlarged
    [32, 32, 32],
  ])("%i × %i to %i px is what a run saw in training, within 2 of 255 in the mean", async (width, height, size) => {
    const { decode } = await openDecoder();
    const pixels = photo(width, height);
    const wanted = await decode({ pixels, width, height }, size);
    const { x, y } = centred(width, height, size);
    const found = resample({ data: pixels, width, height, channels: 3 }, x, y, size);
    expect(meanDifference(found, wanted.pixels)).toBeLessThan(size === width ? 1e-9 : 2);
  });

  it.each([
    [500, 375, 224, 0.875],
    [375, 501, 96, 0.9],
  ])(
    "%i × %i to %i px, cubic and cut out of a larger square, is what a run saw too",
    async (width, height, size, crop) => {
      const { decode } = await openDecoder({ crop, interpolation: "bicubic" });
      const pixels = photo(width, height);
      const wanted = await decode({ pixels, width, height }, size);
      const { x, y } = centred(width, height, Math.floor(size / crop), size);
      const found = resample({ data: pixels, width, height, channels: 3 }, x, y, size, "bicubic");
      expect(meanDifference(found, wanted.pixels)).toBeLessThan(2);
    },
  );

  it("leaves an even image even, and looks at three of four channels", () => {
    const sides = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(sides, sides, sides, fc.integer({ min: 0, max: 255 }), (width, height, size, value) => {
        const data = Uint8Array.from({ length: width * height * 4 }, (_, at) => (at % 4 === 3 ? 77 : value));
        const { x, y } = centred(width, height, size);
        const found = resample({ data, width, height, channels: 4 }, x, y, size);
        expect(found).toEqual(new Uint8Array(size * size * 3).fill(value));
      }),
    );
  });

  it("takes the middle of the longer side", () => {
    expect(centred(300, 100, 100)).toEqual({ x: { from: 100, step: 1 }, y: { from: 0, step: 1 } });
    expect(centred(100, 400, 50)).toEqual({ x: { from: 0, step: 2 }, y: { from: 150, step: 2 } });
  });
});

describe("interpolate", () => {
  beforeAll(() => loadBackend());

  it.each([
    [32, 48],
    [48, 32],
    [7, 7],
  ])("%i px to %i px is what a network sees of its data", (from, to) => {
    const bytes = photo(from, from);
    const wanted = tf.tidy(() => ops.resize(tf.tensor4d(bytes, [1, from, from, 3]), to, to).dataSync());
    const found = interpolate(bytes, from, to);
    expect(Math.max(...found.map((each, at) => Math.abs(each - wanted[at]!)))).toBeLessThan(1e-3);
  });
});

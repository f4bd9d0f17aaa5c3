import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Image } from "../../../core/data/dataset.js";
import { openDecoder } from "../../../core/data/decode.js";
import { resizeCentre, resizeRegion } from "../../../core/image/resize.js";

interface Case {
  height: number;
  width: number;
  shorter: number;
  size: number;
  /** Base64 of [size, size, 3]. */
  pixels: string;
}
const golden = JSON.parse(readFileSync(new URL("../../golden/image/centres.json", import.meta.url), "utf8")) as Case[];

/** As centres.py makes it. */
function drawn(height: number, width: number): Image {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, at) => {
    const [c, x, y] = [at % 3, Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    return (x * (3 + c) + y * 5 + Math.floor((x * y) / 7) + 90 * ((Math.floor(x / 9) + Math.floor(y / 6)) % 2)) % 256;
  });
  return { pixels, height, width };
}

/** Sums of double precision, place by place. */
function plainly(image: Image, height: number, width: number): number[] {
  const side = (from: number, to: number) => {
    const scale = from / to;
    const wide = Math.max(1, scale);
    return Array.from({ length: to }, (_, place) => {
      const weights = Array.from({ length: from }, (_, at) =>
        Math.max(0, 1 - Math.abs((at + 0.5 - (place + 0.5) * scale) / wide)),
      );
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return weights.map((weight) => weight / total);
    });
  };
  const [down, across] = [side(image.height, height), side(image.width, width)];
  return down.flatMap((rows) =>
    across.flatMap((columns) =>
      [0, 1, 2].map((channel) => {
        let sum = 0;
        rows.forEach((row, y) => {
          if (row === 0) return;
          columns.forEach((column, x) => {
            sum += row * column * image.pixels[(y * image.width + x) * 3 + channel]!;
          });
        });
        return sum;
      }),
    ),
  );
}

describe("scaling", () => {
  it.each(golden.map((each) => [`${each.width} x ${each.height} to ${each.size}`, each] as const))(
    "and cutting a centre is within one grey level of torchvision's: %s",
    async (_, { height, width, shorter, size, pixels }) => {
      const expected = Buffer.from(pixels, "base64");
      const image = drawn(height, width);
      const found = resizeCentre(image, { shorter, size });
      expect([found.height, found.width, found.pixels.length]).toEqual([size, size, expected.length]);
      const worst = found.pixels.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
      expect(worst).toBeLessThanOrEqual(1);
      const decoder = await openDecoder({ crop: size / shorter });
      expect((await decoder.decode(image, size)).pixels).toEqual(found.pixels);
    },
  );

  it.each([
    [7, 5, 3, 2],
    [3, 4, 9, 10],
    [1, 1, 4, 4],
    [40, 33, 16, 17],
    [5, 90, 5, 6],
    [64, 2, 3, 2],
  ])("of %i x %i to %i x %i is the weighted sums, rounded", (height, width, toHeight, toWidth) => {
    const image = drawn(height, width);
    const whole = { top: 0, left: 0, height, width };
    const { pixels } = resizeRegion(image, whole, { height: toHeight, width: toWidth });
    plainly(image, toHeight, toWidth).forEach((value, at) => {
      expect(Math.abs(pixels[at]! - value)).toBeLessThan(0.501);
    });
  });

  it("sees nothing outside of its region, and what it gives is the caller's", () => {
    const image = drawn(30, 40);
    const region = { top: 7, left: 11, height: 12, width: 21 };
    const first = resizeRegion(image, region, { height: 8, width: 9 });
    const { pixels, ...rest } = image;
    const alone = new Uint8Array(12 * 21 * 3);
    for (let y = 0; y < 12; y++) {
      const from = ((7 + y) * 40 + 11) * 3;
      alone.set(pixels.subarray(from, from + 63), y * 63);
    }
    const cut = resizeRegion(
      { pixels: alone, height: 12, width: 21 },
      { top: 0, left: 0, height: 12, width: 21 },
      { height: 8, width: 9 },
    );
    expect(cut).toEqual(first);
    const copy = first.pixels.slice();
    resizeRegion({ ...rest, pixels: pixels.map((value) => 255 - value) }, region, { height: 8, width: 9 });
    expect(first.pixels).toEqual(copy);
  });
});

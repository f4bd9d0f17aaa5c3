/** Draws and pixels of photo augmentation against torchvision's (tests/golden/image/photos.py made them). */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { Image, Rectangle } from "../../../core/data/dataset.js";
import { type Decoder, openDecoder } from "../../../core/data/decode.js";
import { randomResizedCropDraw } from "../../../core/image/draws.js";
import { gaussianBlur, resizeRegion } from "../../../core/image/resize.js";

interface Golden {
  draws: {
    size: [number, number];
    scale: [number, number];
    ratio: [number, number];
    uniforms: number[];
    region: Rectangle;
  }[];
  crops: { region: Rectangle; size: number; pixels: string }[];
  blurs: { size: number; sigma: number; pixels: string }[];
}
const golden = JSON.parse(readFileSync(new URL("../../golden/image/photos.json", import.meta.url), "utf8")) as Golden;

const height = 45;
const width = 61;
const testImage: Image = {
  height,
  width,
  pixels: Uint8Array.from({ length: height * width * 3 }, (_, at) => {
    const [c, x, y] = [at % 3, Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    const tile = (Math.floor(x / 9) + Math.floor(y / 6)) % 2;
    return (x * (3 + c) + y * 5 + Math.floor((x * y) / 7) + 90 * tile) % 256;
  }),
};

/** The largest difference in grey levels, a border of so many pixels left out. */
function difference({ pixels, height, width }: Image, expected: string, border = 0): number {
  const bytes = Buffer.from(expected, "base64");
  expect(pixels.length).toBe(bytes.length);
  return pixels.reduce((most, value, at) => {
    const [x, y] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    const inside = Math.min(x, y, width - 1 - x, height - 1 - y) >= border;
    return inside ? Math.max(most, Math.abs(value - bytes[at]!)) : most;
  }, 0);
}

it("regions are torchvision's, given its uniform numbers", () => {
  for (const { size, scale, ratio, uniforms, region } of golden.draws) {
    const rest = [...uniforms];
    const next = (): number => rest.shift()!;
    const given = {
      range: (low: number, high: number) => low + (high - low) * next(),
      int: (n: number) => Math.floor(n * next()),
    };
    expect(randomResizedCropDraw(given, { height: size[0], width: size[1] }, { scale, ratio })).toEqual(region);
  }
});

describe("within one grey level of torchvision:", () => {
  let decoder: Decoder;
  beforeAll(async () => {
    decoder = await openDecoder();
  });

  it.each(golden.crops)("$region scaled to $size, in memory and by the decoder", async ({ region, size, pixels }) => {
    expect(difference(resizeRegion(testImage, region, { height: size, width: size }), pixels)).toBeLessThanOrEqual(1);
    const header = { height, width, format: "png", plain: true };
    // Where it shrinks, libvips repeats the edge and torchvision leaves it out: the outermost pixels differ more.
    const decoded = await decoder.decodeRegion(testImage, region, header, size);
    // Inside, its weights are those of 64 places between two pixels: 2 at a jump of 256 levels, which this image has.
    expect(difference(decoded, pixels, 1)).toBeLessThanOrEqual(2);
    expect(difference(decoded, pixels)).toBeLessThanOrEqual(20);
  });

  it.each(golden.blurs)("a blur of $size pixels, sigma $sigma", ({ size, sigma, pixels }) => {
    expect(difference(gaussianBlur(testImage, sigma, size), pixels)).toBeLessThanOrEqual(1);
  });
});

it("an image that has the size already is scaled to itself", () => {
  expect(resizeRegion(testImage, { top: 0, left: 0, height, width }, { height, width })).toBe(testImage);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Image } from "../../../core/data/dataset.js";
import { applyOperation, autoAugmentSpace, type Operation } from "../../../core/image/auto-augment.js";
import * as color from "../../../core/image/color.js";
import * as geometry from "../../../core/image/geometry.js";
import { stream } from "../../../core/rng.js";

const gray = [128, 128, 128] as const;
const samplings: geometry.Sampling[] = [
  {},
  { interpolation: "bilinear" },
  { fill: [9, 200, 77] },
  { interpolation: "bilinear", fill: [9, 200, 77] },
];

/** 1 x 1 to 40 x 40; noise, or a few values only, where ties and flat channels are common. */
const someImage: fc.Arbitrary<Image> = fc
  .record({
    height: fc.integer({ min: 1, max: 40 }),
    width: fc.integer({ min: 1, max: 40 }),
    seed: fc.nat(),
    values: fc.constantFrom(
      [0, 7, 128, 255],
      [200],
      Array.from({ length: 256 }, (_, value) => value),
    ),
  })
  .map(({ height, width, seed, values }) => {
    const random = stream(seed, "image");
    const pixels = Uint8Array.from({ length: height * width * 3 }, () => values[random.int(values.length)]!);
    return { pixels, height, width };
  });
const factor = fc.double({ min: 0, max: 4, noNaN: true });
const sampling = fc.constantFrom(...samplings);

/** Every function with arguments from all of its range. */
const operations: Record<string, fc.Arbitrary<(image: Image) => Image>> = {
  brightness: factor.map((x) => (image) => color.brightness(image, x)),
  contrast: factor.map((x) => (image) => color.contrast(image, x)),
  saturation: factor.map((x) => (image) => color.saturation(image, x)),
  sharpness: factor.map((x) => (image) => color.sharpness(image, x)),
  hue: fc.double({ min: -0.5, max: 0.5, noNaN: true }).map((x) => (image) => color.hue(image, x)),
  posterize: fc.integer({ min: 0, max: 8 }).map((bits) => (image) => color.posterize(image, bits)),
  solarize: fc.double({ min: 0, max: 256, noNaN: true }).map((x) => (image) => color.solarize(image, x)),
  autocontrast: fc.constant(color.autocontrast),
  equalize: fc.constant(color.equalize),
  invert: fc.constant(color.invert),
  grayscale: fc.constant(color.grayscale),
  flipHorizontal: fc.constant(geometry.flipHorizontal),
  translateX: fc
    .double({ min: -50, max: 50, noNaN: true })
    .map((x) => (p) => geometry.translateX(p, x, { fill: gray })),
  translateY: fc
    .double({ min: -50, max: 50, noNaN: true })
    .map((x) => (p) => geometry.translateY(p, x, { fill: gray })),
  rotate: fc.tuple(fc.double({ min: -400, max: 400, noNaN: true }), sampling).map(
    ([degrees, how]) =>
      (image) =>
        geometry.rotate(image, degrees, how),
  ),
  shearX: fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), sampling).map(
    ([x, how]) =>
      (image) =>
        geometry.shearX(image, x, how),
  ),
  shearY: fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), sampling).map(
    ([x, how]) =>
      (image) =>
        geometry.shearY(image, x, how),
  ),
  affine: fc
    .record({
      angle: fc.double({ min: -180, max: 180, noNaN: true }),
      translate: fc.tuple(fc.integer({ min: -60, max: 60 }), fc.double({ min: -9, max: 9, noNaN: true })),
      scale: fc.double({ min: 0.01, max: 9, noNaN: true }),
      shear: fc.tuple(fc.double({ min: -80, max: 80, noNaN: true }), fc.double({ min: -80, max: 80, noNaN: true })),
      how: sampling,
    })
    .map(
      ({ how, ...parameters }) =>
        (image) =>
          geometry.affine(image, parameters, how),
    ),
};

describe("any image, any parameter", () => {
  test.each(Object.entries(operations))("%s keeps the size and leaves its argument alone", (_, operation) => {
    fc.assert(
      fc.property(someImage, operation, (image, apply) => {
        const before = image.pixels.slice();
        const result = apply(image);
        expect(result.pixels).toBeInstanceOf(Uint8Array);
        expect([result.height, result.width]).toEqual([image.height, image.width]);
        expect(result.pixels.length).toBe(before.length);
        expect(same(image.pixels, before)).toBe(true);
        // A second call sees nothing of the first: the tables they share are written anew.
        color.equalize(geometry.flipHorizontal(result));
        expect(same(apply(image).pixels, result.pixels)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("no result shares memory with its argument", () => {
    const image = { pixels: Uint8Array.from({ length: 27 }, (_, index) => index * 9), height: 3, width: 3 };
    const all = fc.sample(fc.record(operations), 5).flatMap((functions) => Object.values(functions));
    for (const apply of all) expect(apply(image).pixels.buffer).not.toBe(image.pixels.buffer);
  });

  test("bytes may lie anywhere inside a larger buffer, and be a Node Buffer", () => {
    fc.assert(
      fc.property(someImage, fc.integer({ min: 0, max: 3 }), fc.record(operations), (image, offset, functions) => {
        const buffer = Buffer.alloc(image.pixels.length + 8, 99);
        buffer.set(image.pixels, offset);
        const inside = { ...image, pixels: buffer.subarray(offset, offset + image.pixels.length) };
        for (const apply of Object.values(functions)) {
          expect(same(apply(inside).pixels, apply(image).pixels)).toBe(true);
        }
        expect(same(inside.pixels, image.pixels)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });
});

describe("neutral parameters give the same bytes", () => {
  const neutral: Record<string, (image: Image) => Image> = {
    "brightness 1": (image) => color.brightness(image, 1),
    "contrast 1": (image) => color.contrast(image, 1),
    "saturation 1": (image) => color.saturation(image, 1),
    "sharpness 1": (image) => color.sharpness(image, 1),
    "hue 0": (image) => color.hue(image, 0),
    "posterize 8": (image) => color.posterize(image, 8),
    "solarize 256": (image) => color.solarize(image, 256),
    "whole crop": (image) => geometry.crop(image, { top: 0, left: 0, ...sizeOf(image) }, gray),
    "translateX 0.9": (image) => geometry.translateX(image, 0.9, { fill: gray }),
    "translateY -0.9": (image) => geometry.translateY(image, -0.9, { fill: gray }),
    "erase nothing": (image) => geometry.erase(image, { top: 0, left: 0, height: 0, width: 0 }, gray),
    "flip twice": (image) => geometry.flipHorizontal(geometry.flipHorizontal(image)),
    "invert twice": (image) => color.invert(color.invert(image)),
    "turn by 360": (image) => geometry.rotate(image, 360, { fill: gray }),
    ...Object.fromEntries(
      samplings.flatMap((how) => [
        [`affine ${JSON.stringify(how)}`, (image: Image) => geometry.affine(image, {}, how)],
        [`shearX 0 ${JSON.stringify(how)}`, (image: Image) => geometry.shearX(image, 0, how)],
        [`shearY 0 ${JSON.stringify(how)}`, (image: Image) => geometry.shearY(image, 0, how)],
        [`rotate 0 ${JSON.stringify(how)}`, (image: Image) => geometry.rotate(image, 0, how)],
      ]),
    ),
  };
  test.each(Object.entries(neutral))("%s", (_, apply) => {
    fc.assert(
      fc.property(someImage, (image) => {
        const result = apply(image);
        expect([result.height, result.width]).toEqual([image.height, image.width]);
        expect(same(result.pixels, image.pixels)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test("hue 0, on a cube of 33 values a side", () => {
    const steps = Array.from({ length: 33 }, (_, step) => Math.min(255, step * 8 - (step % 2)));
    const pixels = Uint8Array.from(steps.flatMap((r) => steps.flatMap((g) => steps.flatMap((b) => [r, g, b]))));
    const image = { pixels, height: 33, width: 33 * 33 };
    expect(same(color.hue(image, 0).pixels, pixels)).toBe(true);
  });
});

test("the largest factor cuts off, it does not wrap", () => {
  const image = {
    pixels: Uint8Array.from({ length: 75 }, (_, index) => (index * 53) % 256),
    height: 5,
    width: 5,
  };
  expect([...color.brightness(image, 1e6).pixels]).toEqual([...image.pixels].map((value) => (value ? 255 : 0)));
  const gray = color.grayscale(image).pixels;
  const expected = [...image.pixels].map((value, at) => (value > gray[at]! ? 255 : value < gray[at]! ? 0 : value));
  expect([...color.saturation(image, 1e6).pixels]).toEqual(expected);
  expect(color.contrast(image, 1e6).pixels.every((value) => value === 0 || value === 255)).toBe(true);
  const sharp = color.sharpness(image, 1e6).pixels;
  const kept = sharp.filter((value, at) => value !== 0 && value !== 255 && value !== image.pixels[at]);
  expect(kept).toHaveLength(0);
});

describe("geometry says what it does", () => {
  /** One bright pixel at (row, column) of a dark 9 x 9 image. */
  const dot = (row: number, column: number): Image => {
    const pixels = new Uint8Array(9 * 9 * 3);
    pixels.fill(255, (row * 9 + column) * 3, (row * 9 + column) * 3 + 3);
    return { pixels, height: 9, width: 9 };
  };

  test("rotate turns counter-clockwise, affine clockwise", () => {
    expect(geometry.rotate(dot(4, 8), 90)).toEqual(dot(0, 4));
    expect(geometry.affine(dot(4, 8), { angle: 90 })).toEqual(dot(8, 4));
  });

  test("translations go right and down, and drop the fraction towards 0", () => {
    expect(geometry.translateX(dot(2, 2), 3.9)).toEqual(dot(2, 5));
    expect(geometry.translateX(dot(2, 5), -3.9)).toEqual(dot(2, 2));
    expect(geometry.translateY(dot(2, 2), 4.2)).toEqual(dot(6, 2));
    expect(geometry.affine(dot(2, 2), { translate: [3, 4] })).toEqual(dot(6, 5));
  });

  test("shears move lower rows and later columns further", () => {
    // Row 4's middle is 4.5 pixels below the upper edge.
    expect(geometry.shearX(dot(4, 6), 0.9)).toEqual(dot(4, 2));
    expect(geometry.shearX(dot(4, 2), -0.9)).toEqual(dot(4, 6));
    expect(geometry.shearY(dot(6, 4), 0.9)).toEqual(dot(2, 4));
  });

  test("scale about a centre", () => {
    const result = geometry.affine(dot(4, 4), { scale: 3 });
    expect(result.pixels.reduce((sum, value) => sum + value, 0)).toBe(9 * 3 * 255);
    expect(geometry.affine(dot(0, 0), { scale: 3, center: [0.5, 0.5] }).pixels.filter(Boolean)).toHaveLength(4 * 3);
  });

  test("far outside is outside, also where positions leave 32 bits", () => {
    const bright = { pixels: new Uint8Array(27).fill(255), height: 3, width: 3 };
    for (const how of samplings) {
      const inside = geometry
        .affine(bright, { scale: 1e-12 }, { ...how, fill: [1, 1, 1] })
        .pixels.filter((x) => x === 255);
      expect(inside).toHaveLength(3); // the middle pixel stays
    }
    expect(geometry.affine(bright, { translate: [2 ** 32, 2 ** 32] }).pixels.every((value) => value === 0)).toBe(true);
  });

  test("a crop outside of the image is all fill", () => {
    const result = geometry.crop(dot(4, 4), { top: 20, left: -30, height: 2, width: 3 }, [1, 2, 3]);
    expect([...result.pixels]).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });

  test("a crop equals padding first", () => {
    fc.assert(
      fc.property(
        someImage,
        fc.record({
          top: fc.integer({ min: -50, max: 50 }),
          left: fc.integer({ min: -50, max: 50 }),
          height: fc.integer({ min: 1, max: 60 }),
          width: fc.integer({ min: 1, max: 60 }),
        }),
        (image, rectangle) => {
          const { top, left, height, width } = rectangle;
          const expected = Array.from({ length: height * width * 3 }, (_, index) => {
            const row = Math.floor(index / 3 / width) + top;
            const column = (Math.floor(index / 3) % width) + left;
            const inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
            return inside ? image.pixels[(row * image.width + column) * 3 + (index % 3)] : [5, 6, 7][index % 3];
          });
          expect([...geometry.crop(image, rectangle, [5, 6, 7]).pixels]).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("erasing puts the bytes there and nowhere else", () => {
    const bytes = Uint8Array.from({ length: 2 * 3 * 3 }, (_, index) => index + 1);
    const rectangle = { top: 3, left: 5, height: 2, width: 3 };
    const result = geometry.erase(dot(0, 0), rectangle, bytes);
    expect(geometry.crop(result, rectangle).pixels).toEqual(bytes);
    expect(geometry.erase(result, rectangle, [0, 0, 0])).toEqual(dot(0, 0));
  });
});

describe("the names of AutoAugment", () => {
  const image = {
    pixels: Uint8Array.from({ length: 16 * 16 * 3 }, (_, index) => (index * 73) % 251),
    height: 16,
    width: 16,
  };

  test("Identity, and every other name changes the image", () => {
    expect(applyOperation(image, "Identity", 0)).toEqual(image);
    const magnitudes: Partial<Record<Operation, number>> = { Posterize: 3, Solarize: 99, Rotate: 20 };
    for (const op of Object.keys(autoAugmentSpace) as Operation[]) {
      const magnitude = magnitudes[op] ?? (op.startsWith("Translate") ? 3 : 0.3);
      expect(applyOperation(image, op, magnitude).pixels, op).not.toEqual(image.pixels);
    }
  });

  test("fill and interpolation reach the geometry", () => {
    const moved = applyOperation(image, "TranslateX", 4, { fill: [1, 2, 3] });
    expect([...moved.pixels.subarray(0, 3)]).toEqual([1, 2, 3]);
    const nearest = applyOperation(image, "Rotate", 20).pixels;
    expect(applyOperation(image, "Rotate", 20, { interpolation: "bilinear" }).pixels).not.toEqual(nearest);
  });
});

describe("what cannot be is refused", () => {
  const image = { pixels: new Uint8Array(12), height: 2, width: 2 };
  const refused: [string, () => unknown, RegExp][] = [
    ["a negative factor", () => color.brightness(image, -0.1), /brightness: the factor is -0.1/],
    ["a factor that is no number", () => color.contrast(image, NaN), /contrast: the factor is NaN/],
    ["an infinite factor", () => color.saturation(image, Infinity), /saturation: the factor is Infinity/],
    ["a negative sharpness", () => color.sharpness(image, -1), /sharpness: the factor is -1/],
    ["a hue beyond half the circle", () => color.hue(image, 0.51), /hue: the factor is 0.51.*\[-0.5, 0.5\]/],
    ["half a bit", () => color.posterize(image, 1.5), /posterize: bits is 1.5/],
    ["nine bits", () => color.posterize(image, 9), /posterize: bits is 9/],
    ["a threshold that is no number", () => color.solarize(image, NaN), /solarize: the threshold is NaN/],
    ["an empty crop", () => geometry.crop(image, { top: 0, left: 0, height: 0, width: 1 }), /height 0/],
    ["half a pixel", () => geometry.crop(image, { top: 0.5, left: 0, height: 1, width: 1 }), /top 0.5.*integers/],
    ["an infinite shift", () => geometry.translateX(image, Infinity), /left -Infinity.*integers/],
    ["a scale of 0", () => geometry.affine(image, { scale: 0 }), /"scale":0.*has no inverse/],
    ["a negative scale", () => geometry.affine(image, { scale: -1 }), /"scale":-1.*scale above 0/],
    ["an angle that is no number", () => geometry.rotate(image, NaN), /has no inverse/],
    [
      "erasing outside",
      () => geometry.erase(image, { top: 1, left: 0, height: 2, width: 1 }, gray),
      /top 1, left 0, height 2, width 1.*height 2 and width 2/,
    ],
    [
      "erasing with too few bytes",
      () => geometry.erase(image, { top: 0, left: 0, height: 1, width: 1 }, new Uint8Array(2)),
      /got 2 bytes.*= 3/,
    ],
  ];
  test.each(refused)("%s", (_, call, message) => {
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ code: "ERR_OPTION" }) as Error);
  });
});

/** toEqual on thousands of bytes takes milliseconds. */
function same(first: Uint8Array, second: Uint8Array): boolean {
  return Buffer.compare(first, second) === 0;
}

function sizeOf({ height, width }: Image): geometry.Size {
  return { height, width };
}

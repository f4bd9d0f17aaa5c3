import { describe, expect, test } from "vitest";
import {
  autoAugmentDraw,
  autoAugmentSpace,
  cifar10Policy,
  magnitudeAt,
  type Operation,
  randAugmentDraw,
  randAugmentSpace,
  trivialAugmentDraw,
  trivialAugmentSpace,
} from "../../../core/image/auto-augment.js";
import * as color from "../../../core/image/color.js";
import {
  applyColorSteps,
  colorJitterDraw,
  randomAffineDraw,
  randomCropDraw,
  randomErasingDraw,
} from "../../../core/image/draws.js";
import { stream } from "../../../core/rng.js";

const size = { height: 32, width: 32 };
const draws = 6_000;

/** `draws` results, each from a stream of its own, as the loader does it. */
function sample<T>(draw: (random: ReturnType<typeof stream>) => T): T[] {
  return Array.from({ length: draws }, (_, index) => draw(stream(11, "draws", index)));
}

/** Within five deviations of a binomial count: a fair draw fails once in two million. */
function expectShare(count: number, total: number, probability: number, what: string): void {
  const deviation = Math.sqrt(total * probability * (1 - probability));
  expect(Math.abs(count - total * probability), `${what}: ${count} of ${total}`).toBeLessThanOrEqual(5 * deviation);
}

/** Mean and extremes of a uniform range. */
function expectUniform(values: number[], low: number, high: number): void {
  const deviation = (high - low) / Math.sqrt(12 * values.length);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(Math.abs(mean - (low + high) / 2)).toBeLessThanOrEqual(5 * deviation);
  const slack = (20 * (high - low)) / values.length;
  expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
  expect(Math.min(...values)).toBeLessThan(low + slack);
  expect(Math.max(...values)).toBeLessThanOrEqual(high);
  expect(Math.max(...values)).toBeGreaterThan(high - slack);
}

describe("AutoAugment", () => {
  test("each step of each sub-policy fires with its probability", () => {
    // A policy of one pair: which step fired is then known.
    for (const pair of cifar10Policy.slice(0, 8)) {
      const fired = sample((random) =>
        autoAugmentDraw(random, size, [
          [
            ["Posterize", pair[0][1], 0],
            ["Invert", pair[1][1], 0],
          ],
        ]),
      );
      const has = (op: Operation): number => fired.filter((steps) => steps.some((step) => step.op === op)).length;
      expectShare(has("Posterize"), draws, pair[0][1], "first");
      expectShare(has("Invert"), draws, pair[1][1], "second");
      const both = fired.filter((steps) => steps.length === 2).length;
      expectShare(both, draws, pair[0][1] * pair[1][1], "both: the gates are independent");
    }
  });

  test("probability 0 never fires, 1 always, in the order of the pair", () => {
    const always = sample((random) =>
      autoAugmentDraw(random, size, [
        [
          ["Invert", 0, 3],
          ["Equalize", 1, 3],
        ],
      ]),
    );
    expect(always.every((steps) => steps.length === 1 && steps[0]!.op === "Equalize")).toBe(true);
    const [steps] = sample((random) =>
      autoAugmentDraw(random, size, [
        [
          ["Invert", 1, 3],
          ["Equalize", 1, 3],
        ],
      ]),
    );
    expect(steps!.map(({ op }) => op)).toEqual(["Invert", "Equalize"]);
  });

  test("all 25 sub-policies come up equally often", () => {
    // Every pair of marks is unique to its sub-policy: the level tells which it was.
    const marked = cifar10Policy.map(
      (_, index) =>
        [
          ["Solarize", 1, index % 10],
          ["Posterize", 1, 2 * Math.floor(index / 10)],
        ] as const,
    );
    const counts = new Map<string, number>();
    for (const steps of sample((random) => autoAugmentDraw(random, size, marked as typeof cifar10Policy))) {
      const key = steps.map(({ magnitude }) => magnitude).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(25);
    for (const [key, count] of counts) expectShare(count, draws, 1 / 25, key);
  });

  test("signs: half of the shears, shifts, turns and factors go each way, the rest never", () => {
    const steps = sample((random) => autoAugmentDraw(random, size)).flat();
    for (const [op, { signed }] of Object.entries(autoAugmentSpace)) {
      const moved = steps.filter((step) => step.op === op && step.magnitude !== 0);
      const negative = moved.filter(({ magnitude }) => magnitude < 0).length;
      if (signed) expectShare(negative, moved.length, 0.5, op);
      else expect(negative, op).toBe(0);
    }
    expect(steps.some(({ op }) => op === "Rotate")).toBe(true);
  });

  test("magnitudes are those of the levels", () => {
    const steps = sample((random) => autoAugmentDraw(random, size)).flat();
    for (const op of Object.keys(autoAugmentSpace) as Operation[]) {
      const levels = cifar10Policy
        .flat()
        .filter(([name]) => name === op)
        .map(([, , level]) => level);
      const expected = new Set(levels.map((level) => magnitudeAt(autoAugmentSpace, op, level, 10, size)));
      const drawn = new Set(steps.filter((step) => step.op === op).map(({ magnitude }) => Math.abs(magnitude)));
      expect(drawn, op).toEqual(expected);
    }
  });

  test("what follows in the stream does not depend on what fired", () => {
    const after = (probability: number): number => {
      const random = stream(3, "after");
      autoAugmentDraw(random, size, [
        [
          ["Rotate", probability, 3],
          ["Equalize", probability, 3],
        ],
      ]);
      return random.uint32();
    };
    expect(after(0)).toBe(after(1));
  });
});

test("RandAugment: operations uniform, one level, signs balanced", () => {
  const drawn = sample((random) => randAugmentDraw(random, size, { operations: 3, level: 12 }));
  expect(drawn.every((steps) => steps.length === 3)).toBe(true);
  for (const [op, { signed }] of Object.entries(randAugmentSpace)) {
    const steps = drawn.flat().filter((step) => step.op === op);
    expectShare(steps.length, draws * 3, 1 / 14, op);
    const magnitude = magnitudeAt(randAugmentSpace, op as Operation, 12, 31, size);
    expect(steps.every((step) => Math.abs(step.magnitude) === magnitude)).toBe(true);
    if (signed) expectShare(steps.filter((step) => step.magnitude < 0).length, steps.length, 0.5, op);
  }
  expect(randAugmentDraw(stream(1, "none"), size, { operations: 0 })).toEqual([]);
});

test("TrivialAugment: one operation, operations and levels uniform", () => {
  const drawn = sample((random) => trivialAugmentDraw(random, size));
  expect(drawn.every((steps) => steps.length === 1)).toBe(true);
  for (const op of Object.keys(trivialAugmentSpace)) {
    expectShare(drawn.filter(([step]) => step!.op === op).length, draws, 1 / 14, op);
  }
  const turns = drawn.flat().filter(({ op }) => op === "Rotate");
  const distinct = new Set(turns.map(({ magnitude }) => Math.abs(magnitude)));
  expect(distinct.size).toBe(31);
  expect(Math.max(...distinct)).toBe(135);
});

test("a level or an operation that does not exist is refused", () => {
  expect(() => magnitudeAt(autoAugmentSpace, "ShearX", 10, 10, size)).toThrow(/Level 10 of ShearX.*0 to 9/);
  expect(() => magnitudeAt(autoAugmentSpace, "ShearX", 1.5, 10, size)).toThrow(/Level 1.5/);
  expect(() => magnitudeAt(randAugmentSpace, "Invert", 1, 31, size)).toThrow(/"Invert" is not among/);
});

test("random affine: every parameter uniform in its range, shifts whole", () => {
  const options = {
    degrees: [-20, 40],
    translate: [0.1, 0.25],
    scale: [0.8, 1.3],
    shear: [-5, 15, 2, 6],
  } as const;
  const drawn = sample((random) => randomAffineDraw(random, options, { height: 40, width: 100 }));
  expectUniform(
    drawn.map(({ angle }) => angle),
    -20,
    40,
  );
  expectUniform(
    drawn.map(({ scale }) => scale),
    0.8,
    1.3,
  );
  expectUniform(
    drawn.map(({ shear }) => shear[0]),
    -5,
    15,
  );
  expectUniform(
    drawn.map(({ shear }) => shear[1]),
    2,
    6,
  );
  for (const axis of [0, 1] as const) {
    const counts = new Map<number, number>();
    for (const { translate } of drawn) counts.set(translate[axis] + 0, (counts.get(translate[axis] + 0) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 21 }, (_, index) => index - 10));
    expectShare(counts.get(3)!, draws, 1 / 20, "an inner shift");
    expectShare(counts.get(10)!, draws, 1 / 40, "the last shift has half a pixel");
  }
  expect(randomAffineDraw(stream(1, "plain"), { degrees: [0, 0] }, size)).toEqual({
    angle: 0,
    translate: [expect.closeTo(0), expect.closeTo(0)],
    scale: 1,
    shear: [0, 0],
  });
});

describe("color jitter", () => {
  test("factors uniform, orders equally often", () => {
    const drawn = sample((random) =>
      colorJitterDraw(random, { brightness: 0.4, contrast: 1.5, saturation: 0.2, hue: 0.1 }),
    );
    const factors = (op: string): number[] => drawn.map((steps) => steps.find((step) => step.op === op)!.factor);
    expectUniform(factors("brightness"), 0.6, 1.4);
    expectUniform(factors("contrast"), 0, 2.5);
    expectUniform(factors("saturation"), 0.8, 1.2);
    expectUniform(factors("hue"), -0.1, 0.1);
    const orders = new Map<string, number>();
    for (const steps of drawn) {
      const order = steps.map(({ op }) => op).join();
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(24);
    for (const [order, count] of orders) expectShare(count, draws, 1 / 24, order);
  });

  test("an operation at 0 is left out and moves no other draw", () => {
    const all = colorJitterDraw(stream(5, "jitter"), {
      brightness: 0.4,
      contrast: 0.4,
      saturation: 0.4,
      hue: 0.1,
    });
    const some = colorJitterDraw(stream(5, "jitter"), { brightness: 0.4, saturation: 0.4, hue: 0 });
    expect(some).toEqual(all.filter(({ op }) => op === "brightness" || op === "saturation"));
    expect(colorJitterDraw(stream(5, "jitter"), {})).toEqual([]);
  });

  test("the steps are applied in their order", () => {
    const image = {
      pixels: Uint8Array.from({ length: 48 }, (_, index) => (index * 91) % 256),
      height: 4,
      width: 4,
    };
    const steps = [
      { op: "brightness", factor: 1.8 },
      { op: "contrast", factor: 0.5 },
    ] as const;
    expect(applyColorSteps(image, steps)).toEqual(color.contrast(color.brightness(image, 1.8), 0.5));
    expect(applyColorSteps(image, [...steps].reverse())).not.toEqual(applyColorSteps(image, steps));
  });
});

describe("random erasing", () => {
  test("area uniform, aspect log-uniform, anywhere inside", () => {
    const large = { height: 400, width: 400 };
    const found = sample((random) => randomErasingDraw(random, large, { scale: [0.02, 0.2] })!);
    // At 400 pixels a side, rounding to whole pixels moves area and aspect by less than the slack below.
    const areas = found.map(({ height, width }) => (height * width) / 160_000);
    const meanArea = areas.reduce((sum, value) => sum + value, 0) / areas.length;
    expect(meanArea).toBeCloseTo(0.11, 2);
    expect(Math.min(...areas)).toBeGreaterThan(0.019);
    expect(Math.max(...areas)).toBeLessThan(0.202);
    const logarithms = found.map(({ height, width }) => Math.log(height / width));
    const meanLogarithm = logarithms.reduce((sum, value) => sum + value, 0) / logarithms.length;
    expect(meanLogarithm).toBeCloseTo((Math.log(0.3) + Math.log(3.3)) / 2, 1);
    const tall = found.filter(({ height, width }) => height > width).length;
    expectShare(tall, draws, Math.log(3.3) / (Math.log(3.3) - Math.log(0.3)), "tall ones");
    const inside = found.filter(
      ({ top, left, height, width }) => top >= 0 && left >= 0 && top + height <= 400 && left + width <= 400,
    );
    expect(inside.length).toBe(draws);
    expect(found.some(({ top, height }) => top + height === 400)).toBe(true);
    expect(found.some(({ left }) => left === 0)).toBe(true);
  });

  test("always smaller than the image; undefined where nothing fits", () => {
    const found = sample((random) => randomErasingDraw(random, size));
    expect(found.every((rectangle) => !rectangle || (rectangle.height < 32 && rectangle.width < 32))).toBe(true);
    expect(found.filter(Boolean).length).toBeGreaterThan(draws * 0.999);
    expect(randomErasingDraw(stream(1, "flat"), { height: 1, width: 400 }, { ratio: [1, 1] })).toBeUndefined();
    expect(randomErasingDraw(stream(1, "full"), size, { scale: [1, 1] })).toBeUndefined();
  });
});

test("random crop: every corner of the padded image equally often", () => {
  const drawn = sample((random) => randomCropDraw(random, { height: 24, width: 40 }, 2));
  const counts = new Map<string, number>();
  expect(drawn.every(({ height, width }) => height === 24 && width === 40)).toBe(true);
  for (const { top, left } of drawn) {
    counts.set(`${top},${left}`, (counts.get(`${top},${left}`) ?? 0) + 1);
  }
  expect(counts.size).toBe(25);
  for (const [corner, count] of counts) expectShare(count, draws, 1 / 25, corner);
  expect(counts.has("-2,2")).toBe(true);
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { divide, limit, stratifiedHoldout, subset } from "../../../core/data/holdout.js";
import { memorySplit } from "../../../core/data/in-memory.js";

function splitOf(labels: readonly number[]) {
  const pixels = Uint8Array.from({ length: labels.length * 3 }, (_, at) => Math.floor(at / 3));
  const split = memorySplit([{ name: "mini", pixels, labels: Uint16Array.from(labels) }], 1, 1);
  return { ...split, box: (index: number) => [index, 0, 1, 1] as const };
}

function countsOf(labels: ArrayLike<number>, places: Iterable<number>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const place of places) counts.set(labels[place]!, (counts.get(labels[place]!) ?? 0) + 1);
  return counts;
}

const someLabels = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 300 });
const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("stratifiedHoldout", () => {
  it("holds 10 % of every class of CIFAR-100 out", () => {
    const labels = Uint16Array.from({ length: 50_000 }, (_, at) => (at * 7) % 100);
    const { train, validation } = stratifiedHoldout(labels, 0.1, 3);
    expect([train.length, validation.length]).toEqual([45_000, 5_000]);
    expect([...countsOf(labels, validation).values()]).toEqual(new Array(100).fill(50));
  });

  it("keeps its laws for any labels, fraction and seed", () => {
    const fractions = fc.double({ min: 0, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(someLabels, fractions, seeds, (labels, fraction, seed) => {
        const { train, validation } = stratifiedHoldout(labels, fraction, seed);
        expect([...train, ...validation].sort((a, b) => a - b)).toEqual([...labels.keys()]);
        for (const part of [train, validation]) expect([...part].sort((a, b) => a - b)).toEqual([...part]);

        const all = countsOf(labels, labels.keys());
        const left = countsOf(labels, train);
        const out = countsOf(labels, validation);
        const most = labels.length - all.size;
        expect(validation.length).toBe(Math.min(Math.round(fraction * labels.length), most));
        let reduced = false; // where a class had to keep its only image, others give more than their share
        for (const [label, total] of all) {
          expect(left.get(label) ?? 0).toBeGreaterThanOrEqual(1);
          if (Math.ceil(total * fraction) > total - 1) reduced = true;
          if (total - 1 >= Math.floor(total * fraction)) {
            expect(out.get(label) ?? 0).toBeGreaterThanOrEqual(Math.floor(total * fraction));
          }
        }
        if (!reduced) {
          for (const [label, total] of all)
            expect(out.get(label) ?? 0).toBeLessThanOrEqual(Math.ceil(total * fraction));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("gives the larger remainders one more, ties to the lower class", () => {
    const labels = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2]; // shares at 0.25: 1, 1.5, 2.25
    const counts = countsOf(labels, stratifiedHoldout(labels, 0.25, 1).validation);
    expect([...counts.entries()].sort()).toEqual([
      [0, 1],
      [1, 2],
      [2, 2],
    ]);
    const ties = [0, 0, 1, 1, 2, 2, 3, 3]; // shares at 0.25: a half each, two places to give
    expect([...countsOf(ties, stratifiedHoldout(ties, 0.25, 1).validation).keys()].sort()).toEqual([0, 1]);
  });

  it("repeats with the seed, changes with it, and grows with the fraction", () => {
    const labels = Array.from({ length: 400 }, (_, at) => at % 4);
    const held = (fraction: number, seed: number) => [...stratifiedHoldout(labels, fraction, seed).validation];
    expect(held(0.1, 5)).toEqual(held(0.1, 5));
    expect(held(0.1, 5)).not.toEqual(held(0.1, 6));
    expect(held(0.2, 5)).toEqual(expect.arrayContaining(held(0.1, 5)));
    expect(held(0, 5)).toEqual([]);
  });

  it.each([-0.1, 1, 1.5, NaN])("refuses the fraction %d", (fraction) => {
    expect(() => stratifiedHoldout([0, 1], fraction, 1)).toThrow("holdout: expected a number from 0 to below 1, got");
  });
});

describe("subset", () => {
  const split = splitOf([3, 1, 4, 1, 5]);

  it("is the split seen through its places, more than once too", async () => {
    const part = subset(subset(split, [4, 2, 0, 2]), [3, 0]);
    expect(part.length).toBe(2);
    expect([...part.labels]).toEqual([4, 5]);
    expect((await part.read([1, 0])).map(({ pixels }) => pixels[0])).toEqual([4, 2]);
    expect(part.describe(1)).toBe("mini#4");
    expect(part.box!(0)[0]).toBe(2);
  });

  it("has boxes only where the split has, and refuses places outside", () => {
    const { box: _, ...boxless } = split;
    expect(subset(boxless, [0]).box).toBeUndefined();
    expect(() => subset(split, [5])).toThrow("place 5 was read from a split of 5");
    expect(() => subset(split, [-1])).toThrow("place -1");
  });
});

describe("limit", () => {
  it("takes classes as evenly as can be, and larger limits contain smaller ones", () => {
    fc.assert(
      fc.property(someLabels, seeds, (labels, seed) => {
        const split = splitOf(labels);
        const all = countsOf(labels, labels.keys());
        let before = new Set<string>();
        for (let n = 1; n <= labels.length; n += 1 + Math.floor(labels.length / 10)) {
          const part = limit(split, n, seed);
          expect(part.length).toBe(n);
          const names = Array.from({ length: n }, (_, at) => part.describe(at));
          for (const name of before) expect(names).toContain(name);
          before = new Set(names);
          const counts = countsOf(part.labels, part.labels.keys());
          const most = Math.max(...counts.values());
          for (const [label, total] of all) {
            expect(counts.get(label) ?? 0).toBeGreaterThanOrEqual(Math.min(total, most - 1));
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it("keeps the split's order, repeats with the seed, and changes with it", () => {
    const split = splitOf(Array.from({ length: 1000 }, (_, at) => at % 10));
    const places = (seed: number) => {
      const part = limit(split, 50, seed);
      return Array.from({ length: 50 }, (_, at) => Number(part.describe(at).split("#")[1]));
    };
    expect(places(1)).toEqual([...places(1)].sort((a, b) => a - b));
    expect(places(1)).toEqual(places(1));
    expect(places(1)).not.toEqual(places(2));
  });

  it("is the split itself if there is no more, and refuses limits that are none", () => {
    const split = splitOf([0, 1]);
    expect(limit(split, 2, 1)).toBe(split);
    for (const n of [0, -1, 1.5, NaN])
      expect(() => limit(split, n, 1)).toThrow("limit: expected a whole number of images from 1, got");
  });
});

describe("divide", () => {
  const train = splitOf([0, 0, 1, 1, 2, 2, 0, 1, 2]);
  const options = { holdout: 0.3, seed: 4 };

  it("is stratifiedHoldout of what the limit leaves, without validation images of its own", () => {
    const whole = divide({ train }, options);
    expect(whole).toEqual({ available: train, ...stratifiedHoldout(train.labels, 0.3, 4) });
    const limited = divide({ train }, { ...options, limitTrain: 6 });
    expect([...limited.available.labels]).toEqual([...limit(train, 6, 4).labels]);
    expect(limited.train.length + limited.validation.length).toBe(6);
  });

  it("takes a data set's own validation images, whatever holdout says", () => {
    const own = divide({ train, validation: Int32Array.of(6, 7, 8) }, options);
    expect(own.available).toBe(train);
    expect([...own.train]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...own.validation]).toEqual([6, 7, 8]);
  });

  it("limits training images and never its own validation images, wherever these lie", () => {
    const validation = Int32Array.of(1, 4);
    const { available, ...places } = divide({ train, validation }, { ...options, limitTrain: 3 });
    const named = (at: ArrayLike<number>) => Array.from(at, (place) => available.describe(place));
    expect(available.length).toBe(5);
    expect(named(places.validation)).toEqual(["mini#1", "mini#4"]);
    expect(new Set(Array.from(places.train, (place) => available.labels[place])).size).toBe(3); // balanced
    const more = divide({ train, validation }, { ...options, limitTrain: 100 });
    expect(more.available).toBe(train);
    expect([...more.train]).toEqual([0, 2, 3, 5, 6, 7, 8]);
  });
});

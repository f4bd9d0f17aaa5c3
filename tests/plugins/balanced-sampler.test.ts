import { describe, expect, it } from "vitest";
import { stream } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { balancedOrder, balancedSampler } from "../../plugins/balanced-sampler/index.js";

/** 60 images of class 0, 30 of class 1, 10 of class 2. */
const labels = Array.from({ length: 100 }, (_, place) => (place < 60 ? 0 : place < 90 ? 1 : 2));
const drawn = (strength: number, key = 0): Int32Array => balancedOrder(labels, stream(1, "test", key), strength);
const countsOf = (order: Int32Array): number[] =>
  [0, 1, 2].map((label) => order.filter((place) => labels[place] === label).length);

describe("balanced-sampler", () => {
  it("gives every class its share, to the image", () => {
    expect(countsOf(drawn(1))).toEqual([33, 34, 33]);
    expect(countsOf(drawn(0))).toEqual([60, 30, 10]);
    const roots = [60, 30, 10].map(Math.sqrt);
    const whole = roots.reduce((sum, root) => sum + root, 0);
    countsOf(drawn(0.5)).forEach((count, at) =>
      expect(Math.abs(count - (100 * roots[at]!) / whole)).toBeLessThanOrEqual(1),
    );
  });

  it("lets the images of a class take turns", () => {
    const times = new Map<number, number>();
    for (const place of drawn(1)) times.set(place, (times.get(place) ?? 0) + 1);
    const timesOf = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, at) => times.get(from + at) ?? 0);
    expect([Math.min(...timesOf(90, 100)), Math.max(...timesOf(90, 100))]).toEqual([3, 4]);
    expect([Math.min(...timesOf(60, 90)), Math.max(...timesOf(60, 90))]).toEqual([1, 2]);
    expect(Math.max(...timesOf(0, 60))).toBe(1);
  });

  it("mixes the classes over the epoch, other images each time", () => {
    const first = countsOf(drawn(1).subarray(0, 50));
    for (const count of first) expect(Math.abs(count - 17)).toBeLessThan(9);
    expect([...drawn(1, 1)]).not.toEqual([...drawn(1)]);
  });

  it("is a function of seed and epoch", () => {
    const order = Int32Array.from(labels.keys());
    const { call } = mountPlugin(balancedSampler());
    expect(call.resolveOrder(order, labels, 3)).toEqual(call.resolveOrder(order, labels, 3));
    expect(call.resolveOrder(order, labels, 3)).not.toEqual(call.resolveOrder(order, labels, 4));
  });
});

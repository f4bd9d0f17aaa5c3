import { describe, expect, it } from "vitest";
import { tableOf } from "../../../report/page/chart.js";
import {
  bestPlace,
  converted,
  nearest,
  onLine,
  smoothed,
  spacedOut,
  timeUnit,
  zoomed,
} from "../../../report/page/curves.js";
import { axisOf } from "../../../report/page/parallel.js";
import { pointsOf } from "../../../report/page/scatter.js";

describe("smoothing", () => {
  it("is an exponential average that begins with the first value and leaves gaps", () => {
    expect(smoothed([4, null, 8], 0.5)).toEqual([4, null, expect.closeTo((0.25 * 4 + 0.5 * 8) / 0.75, 12)]);
    expect(smoothed([1, 2, 3], 0)).toEqual([1, 2, 3]);
    expect(smoothed([7, 7, 7], 0.99).map((value) => value!.toFixed(9))).toEqual(Array(3).fill("7.000000000"));
    expect(smoothed([], 0.6)).toEqual([]);
  });
});

describe("the nearest place", () => {
  it("is that of least distance, the first of two, and none of nothing", () => {
    const places = [1, 2, 4, 8];
    const at = (x: number): number | null => nearest(places, x);
    expect([-5, 1, 1.4, 1.5, 1.6, 3, 3.1, 6, 6.1, 8, 99].map(at)).toEqual([0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3]);
    expect(nearest([7], 0)).toBe(0);
    expect(nearest([], 0)).toBeNull();
  });
});

describe("axes", () => {
  const line = { steps: [0, 10, 20], values: [0, 1, 5] };

  it("go by straight pieces, and on beyond the last", () => {
    expect([0, 5, 10, 15, 20, 25].map((step) => onLine(line, step))).toEqual([0, 0.5, 1, 3, 5, 7]);
    expect(onLine({ steps: [0, 50], values: [0, 1] }, 125)).toBe(2.5);
    expect(onLine({ steps: [3], values: [7] }, 5)).toBe(7);
  });

  it("rise strictly, as a chart asks, where steps took no time", () => {
    const flat = converted([1, 2, 3], { steps: [0, 3], values: [0, 0] });
    expect(flat[1]!).toBeGreaterThan(flat[0]!);
    expect(flat[2]!).toBeGreaterThan(flat[1]!);
    expect(flat[2]!).toBeCloseTo(0, 6);
  });

  it("have a unit that keeps numbers short", () => {
    expect([100, 1000, 20_000].map((seconds) => timeUnit(seconds).name)).toEqual(["s", "min", "h"]);
  });

  it("mark every epoch, or every fifth or hundredth, so that marks are apart", () => {
    const pixels = (count: number): number[] => Array.from({ length: count }, (_, at) => (500 * (at + 1)) / count);
    expect(spacedOut(pixels(5), 30)).toEqual([0, 1, 2, 3, 4]);
    expect(spacedOut(pixels(50), 30)).toEqual([4, 9, 14, 19, 24, 29, 34, 39, 44, 49]);
    expect(spacedOut(pixels(2000), 30).length).toBeLessThanOrEqual(500 / 30);
    expect(spacedOut([], 30)).toEqual([]);
    expect(spacedOut([7], 30)).toEqual([0]);
  });
});

it("zooming keeps the place in its middle, stays within the data, and ends with all of them", () => {
  expect(zoomed([0, 100], 0.5, 50, [0, 100])).toEqual([25, 75]);
  expect(zoomed([0, 100], 0.5, 10, [0, 100])).toEqual([5, 55]);
  expect(zoomed([25, 75], 2, 50, [0, 100])).toBeNull();
  expect(zoomed([0, 20], 2, 10, [0, 100])).toEqual([0, 30]);
  expect(zoomed([25, 75], Number.POSITIVE_INFINITY, 50, [0, 100])).toBeNull();
  expect(zoomed([0, 50], Number.POSITIVE_INFINITY, 0, [0, 100])).toBeNull();
});

it("the best value is the first of equal ones, and gaps count for nothing", () => {
  expect(bestPlace([3, 1, null, 1], "least")).toBe(1);
  expect(bestPlace([null, 3, 9, 9], "greatest")).toBe(2);
  expect(bestPlace([null], "least")).toBe(-1);
});

it("curves as a table have a row for each value", () => {
  const series = [
    { name: "a", x: [1, 2], y: [3, null], low: [2, null], high: [4, null] },
    { name: "b", x: [2], y: [5] },
  ];
  expect(tableOf(series, "step")).toEqual([
    ["series", "step", "value", "low", "high"],
    ["a", 1, 3, 2, 4],
    ["a", 2, null, null, null],
    ["b", 2, 5, null, null],
  ]);
  expect(tableOf([series[1]!], "step")[0]).toEqual(["series", "step", "value"]);
});

describe("a result against a hyperparameter", () => {
  const runs = ["r1", "r2", "r3", "r4"].map((name, at) => ({ name, group: at < 2 ? "g" : name }));
  const y = [{ name: "top-1", format: "percent" as const, values: [0.5, 0.6, 0.7, null] }];

  it("has points by group over numbers, and a logarithmic axis where they differ by much", () => {
    const chart = pointsOf({ runs, x: [{ name: "learningRate", values: [0.1, 0.1, 0.001, 1] }], y }, 0, 0);
    expect(chart).toMatchObject({ xLabel: "learningRate", yLabel: "top-1", format: "percent", logX: true });
    expect(chart.series.map(({ name, y: values }) => [name, values])).toEqual([
      ["g", [0.5, 0.6]],
      ["r3", [0.7]],
      ["r4", []], // has its place, so that each group has one colour on the page
    ]);
    const [first, second] = chart.series[0]!.x;
    expect(second).toBeGreaterThan(first!); // seeds at one place stay two points
    expect(second).toBeCloseTo(0.1, 6);
    expect(pointsOf({ runs, x: [{ name: "epochs", values: [2, 2, 4, 4] }], y }, 0, 0).logX).toBe(false);
  });

  it("gives names places in their order", () => {
    const chart = pointsOf({ runs, x: [{ name: "model", values: ["wide", "wide", "narrow", "narrow"] }], y }, 0, 0);
    expect(chart.categories).toEqual(["narrow", "wide"]);
    expect(chart.logX).toBe(false);
    expect(chart.series.map(({ name, x }) => [name, x.map(Math.round)])).toEqual([
      ["g", [1, 1]],
      ["r3", [0]],
      ["r4", []],
    ]);
  });
});

describe("an axis of parallel coordinates", () => {
  const marks = (values: (string | number | null)[]) =>
    axisOf("x", values, String).marks.map(({ at, text }) => [text, Number(at.toFixed(3))]);

  it("has numbers between the least and the greatest, by their logarithm where they differ by much", () => {
    expect(axisOf("x", [1, 3, 2, null], String).places).toEqual([0, 1, 0.5, null]);
    expect(axisOf("x", [0.001, 0.1, 0.01], String).places.map((place) => place!.toFixed(6))).toEqual([
      "0.000000",
      "1.000000",
      "0.500000",
    ]);
    expect(axisOf("x", [7, 7], String).places).toEqual([0.5, 0.5]);
    expect(axisOf("x", [1, null], String).texts).toEqual(["1", "none"]);
  });

  it("marks the values themselves where they are few, and five places otherwise", () => {
    expect(marks([4, 1, 2])).toEqual([
      ["1", 0],
      ["2", 0.333],
      ["4", 1],
    ]);
    expect(marks([0, 1, 2, 3, 5, 8])).toEqual([
      ["0", 0],
      ["2", 0.25],
      ["4", 0.5],
      ["6", 0.75],
      ["8", 1],
    ]);
  });

  it("has names in their order, of very many some", () => {
    expect(marks(["b", "a", "b", "c"])).toEqual([
      ["a", 0],
      ["b", 0.5],
      ["c", 1],
    ]);
    expect(marks(["one"])).toEqual([["one", 0.5]]);
    const many = Array.from({ length: 40 }, (_, at) => `n${String(at).padStart(2, "0")}`);
    expect(marks(many)).toHaveLength(10);
  });
});

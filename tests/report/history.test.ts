import { describe, expect, it } from "vitest";
import { createHistory } from "../../report/history.js";

const filled = (steps: number, most: number): ReturnType<typeof createHistory> => {
  const history = createHistory(most);
  for (let step = 1; step <= steps; step++) history.add(step, { loss: Math.sin(step), step });
  return history;
};

describe("a history", () => {
  it("of few steps holds each of them", () => {
    expect(filled(5, 10).buckets.map(({ step, count }) => [step, count])).toEqual(
      [1, 2, 3, 4, 5].map((step) => [step, 1]),
    );
  });

  it.each([11, 100, 1000, 12345])("of %s steps stays small, and loses no step, no sum, no extreme", (steps) => {
    const { buckets } = filled(steps, 10);
    expect(buckets.length).toBeLessThanOrEqual(10);
    expect(buckets.length).toBeGreaterThanOrEqual(5);
    const losses = buckets.map(({ figures }) => figures.get("loss")!);
    const all = Array.from({ length: steps }, (_, at) => Math.sin(at + 1));
    expect(losses.reduce((sum, each) => sum + each.count, 0)).toBe(steps);
    expect(losses.reduce((sum, each) => sum + each.sum, 0)).toBeCloseTo(
      all.reduce((sum, each) => sum + each, 0),
      6,
    );
    expect(Math.max(...losses.map(({ high }) => high))).toBe(Math.max(...all));
    expect(Math.min(...losses.map(({ low }) => low))).toBe(Math.min(...all));
    expect(buckets.at(-1)!.step).toBe(steps);
    const places = buckets.map(({ step }) => step);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  it("that is gone back over forgets what is said again", () => {
    const history = filled(6, 10);
    history.add(4, { loss: 9 });
    expect(history.buckets.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(history.buckets.at(-1)!.figures.get("loss")!.sum).toBe(9);
  });

  it("counts what is not finite, or no number, for nothing", () => {
    const history = createHistory();
    history.add(1, { loss: Number.NaN, other: "NaN", third: Infinity, fine: 1 });
    expect([...history.buckets[0]!.figures.keys()]).toEqual(["fine"]);
  });
});

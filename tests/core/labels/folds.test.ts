import { describe, expect, it } from "vitest";
import { stratifiedFolds } from "../../../core/labels/folds.js";

const labels = Int32Array.from({ length: 103 }, (_, place) => (place < 60 ? 0 : place < 100 ? 2 : 5));

describe("folds", () => {
  it("have each class in equal shares, and equal sizes", () => {
    const folds = stratifiedFolds(labels, { count: 5, seed: 1 });
    const sizeOf = (fold: number, label?: number): number =>
      folds.filter((each, place) => each === fold && (label === undefined || labels[place] === label)).length;
    for (let fold = 0; fold < 5; fold++) {
      expect(sizeOf(fold, 0)).toBe(12);
      expect(sizeOf(fold, 2)).toBe(8);
      expect(sizeOf(fold, 5)).toBeLessThan(2);
      expect(sizeOf(fold)).toBeGreaterThan(19);
    }
  });

  it("are a function of the seed", () => {
    const of = (seed: number): number[] => [...stratifiedFolds(labels, { count: 5, seed })];
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  it("hold copies together, under another label too", () => {
    const contents = Array.from(labels, (_, place) => (place % 10 === 3 ? `copy ${place % 4}` : String(place)));
    const folds = stratifiedFolds(labels, { count: 5, seed: 1, contents });
    for (const copy of ["copy 1", "copy 3"]) {
      const own = new Set([...folds].filter((_, place) => contents[place] === copy));
      expect(own.size).toBe(1);
    }
  });
});

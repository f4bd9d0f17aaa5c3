import { describe, expect, it } from "vitest";
import { confusion, mostConfused, perClass, predictedClass } from "../../../core/interpret/confusion.js";

describe("the predicted class", () => {
  it("is the class with the largest probability, of equal ones the first", () => {
    const rows = Float32Array.of(0.1, 0.7, 0.2, 0.4, 0.2, 0.4);
    expect([0, 1].map((row) => predictedClass(rows, row, 3))).toEqual([1, 0]);
  });

  it("is counted in the row of the true class, and not at all where it is no number", () => {
    const probabilities = Float32Array.of(0.9, 0.1, 0.2, 0.8, NaN, NaN, 0.6, 0.4);
    const counts = confusion({ probabilities, labels: Int32Array.of(0, 0, 1, 1) } as never, 2);
    expect([...counts]).toEqual([1, 1, 1, 0]);
  });
});

describe("figures of classes", () => {
  // A 3 by 3 matrix whose rows and columns differ, so that a transposed one is noticed.
  const counts = [5, 1, 4, 0, 8, 0, 0, 0, 0];

  it("are recall over rows, precision over columns, and NaN where there is nothing to divide by", () => {
    expect(perClass(counts, 3)).toEqual([
      { count: 10, recall: 0.5, precision: 1 },
      { count: 8, recall: 1, precision: 8 / 9 },
      { count: 0, recall: NaN, precision: 0 },
    ]);
    expect(perClass([0, 2, 0, 0], 2)[0]).toEqual({ count: 2, recall: 0, precision: NaN });
  });

  it("name the pairs with the most mistakes, not what is right, and as many as asked for", () => {
    const pairs = [
      { truth: 0, predicted: 2, count: 4, share: 0.4 },
      { truth: 0, predicted: 1, count: 1, share: 0.1 },
    ];
    expect(mostConfused(counts, 3)).toEqual(pairs);
    expect(mostConfused(counts, 3, 1)).toEqual(pairs.slice(0, 1));
    expect(mostConfused([1, 2, 2, 1], 2).map(({ truth }) => truth)).toEqual([0, 1]);
  });
});

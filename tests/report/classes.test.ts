import { expect, it } from "vitest";
import { wilson } from "../../core/interpret/wilson.js";
import { accuracy, confusionFigures, shareOf } from "../../report/classes.js";

const names = ["ant", "bee", "cow", "dog"];
// Rows are true classes: 9 of 10 ants are right, 4 of 10 bees; there is no cow, and no image is predicted as dog.
const counts = [9, 1, 0, 0, 3, 4, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0];

it("puts the lowest recall first, then shares of few images in counts, then classes without any", () => {
  expect(confusionFigures(counts, names).figures).toEqual([
    ["bee", shareOf(4, 10), "4 of 5", 10],
    ["ant", shareOf(9, 10), shareOf(9, 14), 10],
    ["dog", "0 of 2", null, 2],
    ["cow", null, "0 of 3", 0],
  ]);
});

it("names pairs of classes, with the most mistakes first", () => {
  expect(confusionFigures(counts, names).confused).toEqual([
    ["bee", "ant", 3, 0.3],
    ["bee", "cow", 3, 0.3],
    ["dog", "ant", 2, 1],
    ["ant", "bee", 1, 0.1],
  ]);
});

it("keeps the table of pairs short with a hundred classes", () => {
  const many = Array.from({ length: 100 }, (_, at) => `c${at}`);
  const { figures, confused } = confusionFigures(new Array<number>(10_000).fill(1), many);
  expect([figures.length, confused.length]).toEqual([100, 60]);
});

it("gives an accuracy its interval where the number of images is known, and leaves everything else as it is", () => {
  expect(accuracy({ top1: 0.9, count: 50 })).toEqual({ value: 0.9, ...wilson(45, 50) });
  expect(accuracy({ top1: 1, count: 4 })).toMatchObject({ value: 1, high: expect.closeTo(1, 12) });
  expect(accuracy({ top1: 0.9 })).toBe(0.9);
  expect(accuracy({ top1: 0.9, count: "many" })).toBe(0.9);
  expect(accuracy({ top1: "NaN", count: 50 })).toBe("NaN");
  expect(accuracy({ top1: 7, count: 50 })).toBe(7);
  expect(accuracy(undefined)).toBeUndefined();
});

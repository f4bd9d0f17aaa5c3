import { expect, it } from "vitest";
import { confusionFigures } from "../../report/classes.js";

const names = ["ant", "bee", "cow", "dog"];
// Rows are true classes: ants are right in 9 of 10, bees in 4 of 10, of cows there is no picture, dogs are never said.
const counts = [9, 1, 0, 0, 3, 4, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0];

it("the worst class comes first, and one without pictures last and without figures", () => {
  expect(confusionFigures(counts, names).figures).toEqual([
    ["dog", 0, null, 2],
    ["bee", 0.4, 4 / 5, 10],
    ["ant", 0.9, 9 / 14, 10],
    ["cow", null, 0, 0],
  ]);
});

it("pairs are named, with the most mistakes first", () => {
  expect(confusionFigures(counts, names).confused).toEqual([
    ["bee", "ant", 3, 0.3],
    ["bee", "cow", 3, 0.3],
    ["dog", "ant", 2, 1],
    ["ant", "bee", 1, 0.1],
  ]);
});

it("of a hundred classes the table of pairs stays short", () => {
  const many = Array.from({ length: 100 }, (_, at) => `c${at}`);
  const { figures, confused } = confusionFigures(new Array<number>(10_000).fill(1), many);
  expect([figures.length, confused.length]).toEqual([100, 60]);
});

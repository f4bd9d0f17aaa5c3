import { expect, it } from "vitest";
import { aligned } from "../../report/blocks.js";

it("curves of several lengths stand over every step that any of them has, in order", () => {
  const curves = [
    {
      name: "steps",
      points: new Map([
        [10, 1],
        [2, 3],
        [4, 2],
      ]),
    },
    {
      name: "epochs",
      points: new Map([
        [4, 9],
        [12, 8],
      ]),
      dots: true,
    },
  ];
  expect(aligned(curves)).toEqual({
    x: [2, 4, 10, 12],
    series: [
      { name: "steps", y: [3, 2, 1, null] },
      { name: "epochs", y: [null, 9, null, 8], points: true },
    ],
  });
});

it("a zero is a point, and no curve has none", () => {
  expect(aligned([{ name: "a", points: new Map([[0, 0]]) }])).toEqual({ x: [0], series: [{ name: "a", y: [0] }] });
  expect(aligned([{ name: "a", points: new Map() }])).toEqual({ x: [], series: [{ name: "a", y: [] }] });
});

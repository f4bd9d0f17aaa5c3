import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { doubtedLabels } from "../../../core/labels/confident-learning.js";

interface Golden {
  classes: number;
  labels: number[];
  probabilities: number[];
  joint: number[][];
  doubted: number[];
  quality: number[];
}
const golden = JSON.parse(
  readFileSync(new URL("../../golden/labels/golden.json", import.meta.url), "utf8"),
) as Golden[];

describe("labels in doubt", () => {
  it.each(golden.map((each, at) => [at, each] as const))("are cleanlab's, in its order, case %i", (_, each) => {
    const found = doubtedLabels(each);
    expect([...found.doubted]).toEqual(each.doubted);
    expect([...found.quality]).toEqual(each.quality);
    expect(found.joint.map((row) => [...row])).toEqual(each.joint);
    expect(each.doubted.every((row) => found.suggested[row] !== each.labels[row])).toBe(true);
  });

  it("are some in most cases, so that the comparison means something", () => {
    expect(golden.filter(({ doubted }) => doubted.length > 3).length).toBeGreaterThan(4);
  });

  it("are none where the model agrees with every label, and the swapped pair where it does not", () => {
    const labels = Int32Array.from({ length: 40 }, (_, row) => row % 2);
    const probabilities = Float32Array.from({ length: 80 }, (_, at) => (at % 2 === (at >> 1) % 2 ? 0.9 : 0.1));
    expect([...doubtedLabels({ labels, probabilities, classes: 2 }).doubted]).toEqual([]);
    labels[4] = 1;
    labels[7] = 0;
    expect([...doubtedLabels({ labels, probabilities, classes: 2 }).doubted]).toEqual([4, 7]);
  });

  it("leave the only image of a class, and a class without images, alone", () => {
    const probabilities = [0.9, 0.1, 0, 0.8, 0.2, 0, 0.9, 0.1, 0];
    expect([...doubtedLabels({ labels: [0, 0, 1], probabilities, classes: 3 }).doubted]).toEqual([]);
    expect([...doubtedLabels({ labels: [], probabilities: new Float64Array(), classes: 3 }).doubted]).toEqual([]);
  });
});

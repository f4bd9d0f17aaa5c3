import { describe, expect, it } from "vitest";
import { calibration, confidences } from "../../../core/interpret/calibration.js";
import { confusion, mostConfused, perClass } from "../../../core/interpret/confusion.js";
import { goldenJson } from "../../golden/torch/read.js";

interface Case {
  classes: number;
  labels: number[];
  probabilities: number[];
  ece: Record<string, number>;
  confusion: number[];
  precision: number[];
  recall: number[];
  support: number[];
}
const cases = goldenJson<Case[]>("calibration.json").map(({ labels, probabilities, ...rest }) => ({
  ...rest,
  outputs: { labels: Int32Array.from(labels), probabilities: Float32Array.from(probabilities) },
}));

describe.each(cases)("beside torchmetrics and scikit-learn, $classes classes", (golden) => {
  const { classes, outputs } = golden;

  it.each(Object.entries(golden.ece))("ECE over %s bins", (bins, ece) => {
    expect(calibration(confidences(outputs, classes), { bins: Number(bins) }).ece).toBeCloseTo(ece, 6);
  });

  it("confusion and class figures", () => {
    const counts = confusion(outputs, classes);
    expect([...counts]).toEqual(golden.confusion);
    perClass(counts, classes).forEach(({ count, recall, precision }, at) => {
      expect(count).toBe(golden.support[at]);
      expect(recall).toBeCloseTo(golden.recall[at]!, 12);
      expect(precision).toBeCloseTo(golden.precision[at]!, 12);
    });
  });
});

it("bins hold every image once, the borders in the lower one", () => {
  const seen = { confidence: Float32Array.of(0, 0.25, 0.5, 0.75, 1), correct: Uint8Array.of(0, 1, 0, 1, 1) };
  const { bins, ece } = calibration(seen, { bins: 4 });
  expect(bins.map(({ count }) => count)).toEqual([2, 1, 1, 1]);
  expect(bins[0]).toMatchObject({ from: 0, to: 0.25, confidence: 0.125, accuracy: 0.5 });
  expect(ece).toBeCloseTo((2 * 0.375 + 0.5 + 0.25 + 0) / 5, 12);
});

it("counts an image as often as a bootstrap drew it", () => {
  const seen = { confidence: Float32Array.of(0.5, 1), correct: Uint8Array.of(1, 0) };
  expect(calibration(seen, { places: [0, 0, 1] }).ece).toBeCloseTo((2 * 0.5 + 1) / 3, 12);
});

it("of answers that are no numbers is no number", () => {
  expect(calibration({ confidence: Float32Array.of(0.5, NaN), correct: Uint8Array.of(1, 0) }).ece).toBeNaN();
});

it("leaves rows of NaN out of the confusion", () => {
  const outputs = { labels: Int32Array.of(0, 1), probabilities: Float32Array.of(NaN, NaN, 0.2, 0.8) };
  expect([...confusion(outputs, 2)]).toEqual([0, 0, 0, 1]);
});

it("names the pairs that are confused most, with the share of the true class", () => {
  const counts = [8, 2, 0, 0, 5, 5, 1, 0, 9];
  expect(mostConfused(counts, 3, 2)).toEqual([
    { truth: 1, predicted: 2, count: 5, share: 0.5 },
    { truth: 0, predicted: 1, count: 2, share: 0.2 },
  ]);
});

/** Temperature scaling: against a plain softmax of scaled logits, and against every temperature of a fine grid. */
import { describe, expect, it } from "vitest";
import { atTemperature, bestTemperature } from "../../../core/interpret/temperature.js";
import { stream } from "../../../core/rng.js";

const classes = 5;

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, each) => total + each, 0);
  return powers.map((power) => power / sum);
}

/** Logits of a network that is too certain by a factor, and labels drawn as a calibrated one would say. */
function outputs(
  rows: number,
  factor: number,
): { logits: number[][]; probabilities: Float32Array; labels: Int32Array } {
  const draws = stream(7, "temperature");
  const labels = new Int32Array(rows);
  const logits = Array.from({ length: rows }, (_, row) => {
    const honest = Array.from({ length: classes }, () => 2 * draws.normal());
    let left = draws.uniform();
    const chances = softmax(honest);
    labels[row] = classes - 1;
    for (const [at, chance] of chances.entries()) {
      left -= chance;
      if (left < 0) {
        labels[row] = at;
        break;
      }
    }
    return honest.map((logit) => factor * logit);
  });
  return { logits, probabilities: Float32Array.from(logits.flatMap(softmax)), labels };
}

const meanLoss = (logits: number[][], labels: Int32Array, temperature: number): number =>
  logits.reduce((sum, row, at) => sum - Math.log(softmax(row.map((logit) => logit / temperature))[labels[at]!]!), 0) /
  labels.length;

describe("atTemperature", () => {
  it.each([0.3, 1, 2.5, 40])("is the softmax of logits / %d", (temperature) => {
    const { logits, probabilities } = outputs(50, 1.5);
    const scaled = atTemperature(probabilities, classes, temperature);
    const expected = logits.flatMap((row) => softmax(row.map((logit) => logit / temperature)));
    expected.forEach((each, at) => expect(scaled[at]).toBeCloseTo(each, 5));
  });

  it("at 1 gives the very same numbers, and keeps zeros and sums at any other", () => {
    const rows = Float32Array.of(1, 0, 0, 0, 0, 1e-30, 1e-30, 0, 0, 0);
    expect(atTemperature(rows, classes, 1)).toBe(rows);
    expect([...atTemperature(rows, classes, 0.01)]).toEqual([1, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0]);
    expect([...atTemperature(rows, classes, 100)]).toEqual([1, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0]);
  });
});

describe("bestTemperature", () => {
  it.each([0.5, 1, 3])(
    "finds that logits are %d times too large, and no temperature near it has less loss",
    (factor) => {
      const { logits, probabilities, labels } = outputs(4000, factor);
      const found = bestTemperature({ probabilities, labels }, classes);
      expect(Math.abs(found / factor - 1)).toBeLessThan(0.08); // of 4000 draws
      const least = meanLoss(logits, labels, found);
      for (const beside of [0.5, 0.9, 0.99, 1.01, 1.1, 2]) {
        expect(least).toBeLessThan(meanLoss(logits, labels, beside * found));
      }
    },
  );

  it.each([
    ["every image is classified correctly", [0, 1, 2, 3, 4], 0.9],
    ["knows no more than chance", [1, 2, 3, 4, 0], 0.9],
    ["are not numbers", [0, 1, 2, 3, 4], Number.NaN],
  ])("refuses where %s", (message, labels, own) => {
    const probabilities = Float32Array.from({ length: 25 }, (_, at) => (at % 6 === 0 ? own : (1 - own) / 4));
    expect(() => bestTemperature({ probabilities, labels: Int32Array.from(labels) }, classes)).toThrow(message);
  });
});

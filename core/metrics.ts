/** Figures of an evaluation: one rule for top-1, and metrics that a config names. */
import { z } from "zod";
import { partFactory } from "./parts.js";
import { mean } from "./statistics.js";

/** Raw results of an evaluation, in the order of the split. */
export interface Outputs {
  /** [count, classes], row by row. */
  readonly probabilities: Float32Array;
  readonly labels: Int32Array;
}

/**
 * How many other classes of a row are at least as large as the true one: top-k is a rank below k. A tie counts against the
 * model, in training as in evaluation, and so does a row that is not a number (infinite rank).
 *
 * @param values [rows, classes], logits or probabilities
 */
export function rankOf(values: Float32Array, row: number, classes: number, label: number): number {
  const own = values[row * classes + label]!;
  if (!Number.isFinite(own)) return Number.POSITIVE_INFINITY;
  let rank = 0;
  for (let other = 0; other < classes; other++) {
    if (other !== label && values[row * classes + other]! >= own) rank++;
  }
  return rank;
}

/** Rows whose true label has the largest value, alone. */
export function countTop1(values: Float32Array, classes: number, labels: Int32Array): number {
  return labels.reduce((sum, label, row) => sum + Number(rankOf(values, row, classes, label) === 0), 0);
}

/** A figure of an evaluation beside loss, top-1 and top-5. */
export interface Metric {
  /** As tables and records name it, and as the config's `monitor` finds it. */
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Which way is better. Default "higher". */
  readonly better?: "higher" | "lower";
  /** Must not change the outputs. */
  compute(outputs: Outputs, classes: number): number;
}

interface ClassCounts {
  readonly label: number;
  /** Images of the class, predictions of it, and both. */
  readonly actual: number;
  readonly predicted: number;
  readonly correct: number;
}

/** A row's prediction: the largest class, the first of several; a tie with the true class is a mistake, as in top-1. */
export function predictedIn(values: Float32Array, row: number, classes: number, label: number): number {
  if (rankOf(values, row, classes, label) === 0) return label;
  let best = label === 0 ? 1 : 0;
  for (let other = best + 1; other < classes; other++) {
    if (other !== label && values[row * classes + other]! > values[row * classes + best]!) best = other;
  }
  return best;
}

function countsOf({ probabilities, labels }: Outputs, classes: number): ClassCounts[] {
  const [actual, predicted, correct] = [0, 0, 0].map(() => new Float64Array(classes)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  labels.forEach((label, row) => {
    const prediction = predictedIn(probabilities, row, classes, label);
    actual[label]!++;
    predicted[prediction]!++;
    if (prediction === label) correct[label]!++;
  });
  return Array.from(actual, (count, label) => ({
    label,
    actual: count,
    predicted: predicted[label]!,
    correct: correct[label]!,
  }));
}

const none = z.strictObject({});
const metric = (name: string, compute: Metric["compute"]) =>
  partFactory("metric", name, none, (options): Metric => ({ name, options, better: "higher", compute }));

/** Mean recall over the classes that occur or are predicted: scikit-learn's recall_score(average="macro", zero_division=0). */
const macroRecall = metric("macro-recall", (outputs, classes) => {
  const counts = countsOf(outputs, classes).filter(({ actual, predicted }) => actual + predicted > 0);
  return mean(counts.map(({ actual, correct }) => (actual > 0 ? correct / actual : 0)));
});

/** Mean recall over the classes that occur: scikit-learn's balanced_accuracy_score. */
const balancedAccuracy = metric("balanced-accuracy", (outputs, classes) => {
  const counts = countsOf(outputs, classes).filter(({ actual }) => actual > 0);
  return mean(counts.map(({ actual, correct }) => correct / actual));
});

/** Mean F1 over the classes that occur or are predicted: scikit-learn's f1_score(average="macro", zero_division=0). */
const f1 = metric("f1", (outputs, classes) => {
  const counts = countsOf(outputs, classes).filter(({ actual, predicted }) => actual + predicted > 0);
  return mean(counts.map(({ actual, predicted, correct }) => (2 * correct) / (actual + predicted)));
});

/** The metrics for `metrics` of a config. */
export const metrics = { macroRecall, balancedAccuracy, f1 } as const;

/** Metrics by name, for records that name one. */
export const metricsByName = { "macro-recall": macroRecall, "balanced-accuracy": balancedAccuracy, f1 } as const;

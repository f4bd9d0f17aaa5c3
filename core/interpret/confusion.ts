/** The confusion matrix, and precision and recall from it. */
import { type Outputs, predictedIn } from "../metrics.js";

/** Number of images, [true class, predicted class] row by row. */
export type Confusion = Float64Array;

/** The class with the largest probability of a row; the first of equal ones, as in PyTorch's argmax. */
export function predictedClass(probabilities: Float32Array, row: number, classes: number): number {
  let predicted = 0;
  for (let other = 1; other < classes; other++) {
    if (probabilities[row * classes + other]! > probabilities[row * classes + predicted]!) predicted = other;
  }
  return predicted;
}

/** A tie with the true class is a mistake, as in top-1. Rows with NaN predict nothing and are not counted. */
export function confusion({ probabilities, labels }: Outputs, classes: number): Confusion {
  const counts = new Float64Array(classes * classes);
  labels.forEach((label, row) => {
    const predicted = predictedIn(probabilities, row, classes, label);
    if (Number.isFinite(probabilities[row * classes + predicted]!)) counts[label * classes + predicted]!++;
  });
  return counts;
}

export interface ClassFigures {
  /** Images of the class. */
  readonly count: number;
  /** Recall: share of the class's images that were predicted as it. NaN without images. */
  readonly recall: number;
  /** Precision: share of the predictions of the class that are right. NaN without predictions. */
  readonly precision: number;
}

export function perClass(counts: ArrayLike<number>, classes: number): ClassFigures[] {
  return Array.from({ length: classes }, (_, own) => {
    let [count, predicted] = [0, 0];
    for (let other = 0; other < classes; other++) {
      count += counts[own * classes + other]!;
      predicted += counts[other * classes + own]!;
    }
    const right = counts[own * classes + own]!;
    return { count, recall: right / count, precision: right / predicted };
  });
}

/** A pair of classes, and how often one was predicted for the other. */
export interface ConfusedPair {
  readonly truth: number;
  readonly predicted: number;
  readonly count: number;
  /** Share of the true class's images. */
  readonly share: number;
}

/** The pairs with the most mistakes, in descending order; ties by class number. */
export function mostConfused(counts: ArrayLike<number>, classes: number, most = 20): ConfusedPair[] {
  const totals = perClass(counts, classes);
  const pairs: ConfusedPair[] = [];
  for (let truth = 0; truth < classes; truth++) {
    for (let predicted = 0; predicted < classes; predicted++) {
      const count = counts[truth * classes + predicted]!;
      if (truth !== predicted && count > 0)
        pairs.push({ truth, predicted, count, share: count / totals[truth]!.count });
    }
  }
  return pairs.sort((a, b) => b.count - a.count).slice(0, most);
}

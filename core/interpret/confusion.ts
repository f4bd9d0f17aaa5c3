/** What was taken for what. */
import type { Outputs } from "../loop/types.js";

/** [true class, said class], row by row: how many pictures. */
export type Confusion = Float64Array;

/** The class with the largest of a row's probabilities; of equal ones the first, as in PyTorch's argmax. */
export function saidOf(probabilities: Float32Array, row: number, classes: number): number {
  let said = 0;
  for (let other = 1; other < classes; other++) {
    if (probabilities[row * classes + other]! > probabilities[row * classes + said]!) said = other;
  }
  return said;
}

/** A row of probabilities that is not a number says nothing, and is counted nowhere. */
export function confusion({ probabilities, labels }: Outputs, classes: number): Confusion {
  const counts = new Float64Array(classes * classes);
  labels.forEach((label, row) => {
    const said = saidOf(probabilities, row, classes);
    if (Number.isFinite(probabilities[row * classes + said]!)) counts[label * classes + said]!++;
  });
  return counts;
}

export interface ClassFigures {
  /** Pictures of the class. */
  readonly count: number;
  /** Share of them that were said to be of it: the class's accuracy. NaN without pictures. */
  readonly recall: number;
  /** Share of what was said to be of the class that is. NaN where it was never said. */
  readonly precision: number;
}

export function perClass(counts: ArrayLike<number>, classes: number): ClassFigures[] {
  return Array.from({ length: classes }, (_, own) => {
    let [count, said] = [0, 0];
    for (let other = 0; other < classes; other++) {
      count += counts[own * classes + other]!;
      said += counts[other * classes + own]!;
    }
    const right = counts[own * classes + own]!;
    return { count, recall: right / count, precision: right / said };
  });
}

/** A pair of classes, and how often the one was taken for the other. */
export interface ConfusedPair {
  readonly truth: number;
  readonly said: number;
  readonly count: number;
  /** Of the true class's pictures. */
  readonly share: number;
}

/** The pairs with the most mistakes, most first; of equal ones the lower class numbers first. */
export function mostConfused(counts: ArrayLike<number>, classes: number, most = 20): ConfusedPair[] {
  const totals = perClass(counts, classes);
  const pairs: ConfusedPair[] = [];
  for (let truth = 0; truth < classes; truth++) {
    for (let said = 0; said < classes; said++) {
      const count = counts[truth * classes + said]!;
      if (truth !== said && count > 0) pairs.push({ truth, said, count, share: count / totals[truth]!.count });
    }
  }
  return pairs.sort((a, b) => b.count - a.count).slice(0, most);
}

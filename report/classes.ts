/** Accuracies with their intervals, and rows of the class tables. */
import { mostConfused, perClass } from "../core/interpret/confusion.js";
import { wilson } from "../core/interpret/wilson.js";
import type { Cell, Measured } from "./blocks.js";

/** A share of fewer images means little: it is shown as counts and not drawn. */
export const fewImages = 10;

/** A share with its 95 % interval (Wilson 1927). */
export function shareOf(hits: number, count: number): Measured {
  return { value: hits / count, ...wilson(hits, count) };
}

/** @returns the accuracy with its interval where it is known of how many images it is; NaN stays text */
export function accuracy(metrics: { top1: number | string; count?: unknown } | undefined): Cell | undefined {
  if (!metrics) return undefined;
  const { top1, count } = metrics;
  if (typeof top1 !== "number" || typeof count !== "number" || !(count > 0) || !(top1 >= 0 && top1 <= 1)) return top1;
  return { ...shareOf(Math.min(count, Math.round(top1 * count)), count), value: top1 };
}

const counted = (hits: number, count: number): Cell => {
  if (count === 0) return null;
  return count < fewImages ? `${hits} of ${count}` : shareOf(hits, count);
};

/** Numbers first and from the lowest; then shares of few images; then classes without any. */
const rank = (cell: Cell): number => (cell === null ? 3 : typeof cell === "object" ? cell.value : 2);

/**
 * @param counts [true, predicted], row by row
 * @returns a row for each class, the lowest recall first: name, recall, precision, images; and for each pair of classes
 *   with mistakes, most first: true class, predicted class, images, share of the true class
 */
export function confusionFigures(
  counts: readonly number[],
  names: readonly string[],
): { figures: Cell[][]; confused: Cell[][] } {
  const name = (label: number): string => names[label]!;
  const predicted = names.map((_, own) =>
    names.reduce((sum, _, truth) => sum + counts[truth * names.length + own]!, 0),
  );
  const figures = perClass(counts, names.length)
    .map(({ count }, label): Cell[] => {
      const right = counts[label * names.length + label]!;
      return [name(label), counted(right, count), counted(right, predicted[label]!), count];
    })
    .sort((a, b) => rank(a[1]!) - rank(b[1]!));
  const confused = mostConfused(counts, names.length, 60).map((pair): Cell[] => [
    name(pair.truth),
    name(pair.predicted),
    pair.count,
    pair.share,
  ]);
  return { figures, confused };
}

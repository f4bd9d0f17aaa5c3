/** Rows of the class tables. */
import { mostConfused, perClass } from "../core/interpret/confusion.js";

type Row = (string | number | null)[];

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

export function confusionFigures(
  counts: readonly number[],
  names: readonly string[],
): { figures: Row[]; confused: Row[] } {
  const name = (label: number): string => names[label]!;
  const figures = perClass(counts, names.length)
    .map(({ count, recall, precision }, label): Row => [name(label), orNull(recall), orNull(precision), count])
    .sort((a, b) => ((a[1] as number | null) ?? 2) - ((b[1] as number | null) ?? 2));
  const confused = mostConfused(counts, names.length, 60).map(
    ({ truth, said, count, share }): Row => [name(truth), name(said), count, share],
  );
  return { figures, confused };
}

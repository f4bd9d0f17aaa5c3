/** Log entries of any format, and the numbers that they need. */

/** Counts of numbers between edges; one edge more than counts. */
export interface Histogram {
  readonly counts: readonly number[];
  readonly edges: readonly number[];
  /** Of the numbers themselves. */
  readonly sum: number;
  readonly sumOfSquares: number;
}

/** One class against the others, at thresholds from 0 to 1 in even steps. */
export interface PrCurve {
  readonly truePositives: readonly number[];
  readonly falsePositives: readonly number[];
  readonly trueNegatives: readonly number[];
  readonly falseNegatives: readonly number[];
  readonly precision: readonly number[];
  readonly recall: readonly number[];
}

export type Hyperparameter = number | string | boolean;

/** Tags group by the text before their "/". */
export type Entry = { readonly tag: string; readonly step: number } & (
  | { readonly kind: "scalar"; readonly value: number; readonly name?: string }
  | { readonly kind: "image"; readonly png: Uint8Array; readonly width: number; readonly height: number }
  | { readonly kind: "histogram"; readonly histogram: Histogram }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "pr-curve"; readonly curve: PrCurve }
  | { readonly kind: "embeddings"; readonly labels: readonly string[]; readonly vectors: readonly Float32Array[] }
  /** Hyperparameters for TensorBoard's comparison of runs, known from the first step; the format fixes the tag. */
  | { readonly kind: "session"; readonly values: Readonly<Record<string, Hyperparameter>> }
  | {
      /** The end of a run. VisualDL takes the hyperparameters here, since it needs the metrics too. */
      readonly kind: "hyperparameters";
      /** The run's name; the tag is fixed by the formats. */
      readonly run: string;
      readonly values: Readonly<Record<string, Hyperparameter>>;
      /** Tags of scalars. */
      readonly metrics: readonly string[];
      /** Undefined for an interrupted run, which may resume: TensorBoard takes the first end that it reads. */
      readonly ended?: "success" | "failure";
    }
);

/** Bins of equal width between the smallest and the largest number, as in NumPy; values that are not finite are skipped. */
export function histogramOf(numbers: ArrayLike<number>, bins = 30): Histogram {
  let [low, high, sum, sumOfSquares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let at = 0; at < numbers.length; at++) {
    const value = numbers[at]!;
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
    sum += value;
    sumOfSquares += value * value;
  }
  if (low > high) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const width = (high - low) / bins;
  const counts = new Array<number>(bins).fill(0);
  for (let at = 0; at < numbers.length; at++) {
    const value = numbers[at]!;
    if (Number.isFinite(value)) counts[Math.min(bins - 1, Math.floor((value - low) / width))]!++;
  }
  const edges = Array.from({ length: bins + 1 }, (_, edge) => (edge === bins ? high : low + edge * width));
  return { counts, edges, sum, sumOfSquares };
}

/**
 * An image counts as predicted where its probability is at least the threshold. As in VisualDL, thresholds are
 * i / (count - 1), and precision without a prediction is 0.
 */
export function prCurveOf(
  probabilities: ArrayLike<number>,
  isClass: (image: number) => boolean,
  thresholds = 101,
): PrCurve {
  const positive = new Array<number>(thresholds).fill(0);
  const negative = new Array<number>(thresholds).fill(0);
  for (let image = 0; image < probabilities.length; image++) {
    const bucket = Math.min(thresholds - 1, Math.floor(probabilities[image]! * (thresholds - 1)));
    if (bucket >= 0) (isClass(image) ? positive : negative)[bucket]!++; // NaN is in no bucket
  }
  const fromTop = (buckets: readonly number[]): number[] => {
    const sums = [...buckets];
    for (let at = thresholds - 2; at >= 0; at--) sums[at]! += sums[at + 1]!;
    return sums;
  };
  const [truePositives, falsePositives] = [fromTop(positive), fromTop(negative)];
  const share = (part: number, rest: number): number => part / Math.max(1e-7, part + rest);
  const falseNegatives = truePositives.map((count) => truePositives[0]! - count);
  return {
    truePositives,
    falsePositives,
    trueNegatives: falsePositives.map((count) => falsePositives[0]! - count),
    falseNegatives,
    precision: truePositives.map((count, at) => share(count, falsePositives[at]!)),
    recall: truePositives.map((count, at) => share(count, falseNegatives[at]!)),
  };
}

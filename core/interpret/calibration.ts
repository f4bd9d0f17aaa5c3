/** Calibration: how well a network's probabilities match its accuracy (Guo et al. 2017). */
import { type Outputs, rankOf } from "../metrics.js";
import { predictedClass } from "./confusion.js";

export interface CalibrationBin {
  /** Confidences in (from, to]. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** Mean over the bin's images; NaN in an empty one. */
  readonly confidence: number;
  readonly accuracy: number;
}

export interface Calibration {
  /** Expected calibration error: |accuracy - confidence| of each bin, weighted by its images. */
  readonly ece: number;
  readonly bins: readonly CalibrationBin[];
}

/** The numbers that calibration needs. */
export interface Confidences {
  /** The largest probability of each image. */
  readonly confidence: Float32Array;
  /** 1 where the true class has the largest probability, alone. */
  readonly correct: Uint8Array;
}

/** @param probabilities [count, classes] */
export function confidences({ probabilities, labels }: Outputs, classes: number): Confidences {
  const confidence = new Float32Array(labels.length);
  const correct = new Uint8Array(labels.length);
  labels.forEach((label, row) => {
    const predicted = predictedClass(probabilities, row, classes);
    confidence[row] = probabilities[row * classes + predicted]!;
    correct[row] = Number(rankOf(probabilities, row, classes, label) === 0);
  });
  return { confidence, correct };
}

/**
 * Bins of equal width over [0, 1].
 *
 * @param places indices of the images to count, with repeats in a bootstrap; default: each image once
 */
export function calibration(
  { confidence, correct }: Confidences,
  { bins: count = 15, places }: { bins?: number; places?: ArrayLike<number> } = {},
): Calibration {
  const [counts, trust, hits] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  const total = places?.length ?? confidence.length;
  let lost = false; // NaN probabilities have no calibration
  for (let at = 0; at < total; at++) {
    const image = places ? places[at]! : at;
    lost ||= Number.isNaN(confidence[image]!);
    const bin = Math.min(count - 1, Math.max(0, Math.ceil(confidence[image]! * count) - 1));
    counts[bin]!++;
    trust[bin]! += confidence[image]!;
    hits[bin]! += correct[image]!;
  }
  const bins = Array.from(
    counts,
    (inBin, at): CalibrationBin => ({
      from: at / count,
      to: (at + 1) / count,
      count: inBin,
      confidence: trust[at]! / inBin,
      accuracy: hits[at]! / inBin,
    }),
  );
  const ece = bins.reduce(
    (sum, each) => sum + (each.count > 0 ? (each.count / total) * Math.abs(each.accuracy - each.confidence) : 0),
    0,
  );
  return { ece: lost ? Number.NaN : ece, bins };
}

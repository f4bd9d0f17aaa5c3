/** Means and differences over seeds, with intervals: pure. */
import { deviation, mean } from "../../core/statistics.js";
import { studentT } from "../../core/student-t.js";

export { deviation, mean };

/** The middle one, the upper of two. */
export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

export interface Difference {
  readonly difference: number;
  /** Half the width of the 95 % interval. */
  readonly margin: number;
}

/**
 * Paired by seed: the difference of each seed's two runs, its mean and a 95 % interval of n - 1 degrees of freedom.
 * A seed fixes first weights, order and validation images, so pairs share what they owe to luck.
 */
export function pairedDifference(values: readonly number[], baseline: readonly number[]): Difference {
  const each = values.map((value, index) => value - baseline[index]!);
  const margin = (studentT(0.975, each.length - 1) * deviation(each)) / Math.sqrt(each.length);
  return { difference: mean(each), margin };
}

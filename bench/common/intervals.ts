/** Means and differences over seeds, with intervals: pure. */
import { deviation, mean } from "../../core/statistics.js";

export { deviation, mean };

/** The middle one, the upper of two. */
export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Student's t at 97.5 % for 1 … 30 degrees of freedom (Fisher and Yates's table), 1.96 in the limit. */
const t975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** The factor of a 95 % interval; beyond the table by 1.96 + 2.4 / degrees, good to 0.002. */
export function studentT(degrees: number): number {
  if (!Number.isInteger(degrees) || degrees < 1) return Number.NaN;
  return t975[degrees - 1] ?? 1.96 + 2.4 / degrees;
}

const squares = (values: readonly number[]): number => {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
};

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
  const margin = (studentT(each.length - 1) * deviation(each)) / Math.sqrt(each.length);
  return { difference: mean(each), margin };
}

/**
 * Differences of several arms from one baseline, paired by seed, with one deviation pooled over all arms: three seeds
 * say little about the spread of one arm, and many arms together say more. It takes all arms to spread alike.
 *
 * @param arms seed by seed, as the baseline is
 */
export function pooledDifferences(
  arms: ReadonlyMap<string, readonly number[]>,
  baseline: readonly number[],
): Map<string, Difference> {
  const each = [...arms].map(
    ([name, values]) => [name, values.map((value, index) => value - baseline[index]!)] as const,
  );
  const degrees = each.reduce((sum, [, differences]) => sum + differences.length - 1, 0);
  const pooled = Math.sqrt(each.reduce((sum, [, differences]) => sum + squares(differences), 0) / degrees);
  return new Map(
    each.map(([name, differences]) => {
      const margin = (studentT(degrees) * pooled) / Math.sqrt(differences.length);
      return [name, { difference: mean(differences), margin }];
    }),
  );
}

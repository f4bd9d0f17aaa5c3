/** Quantiles of Student's t distribution, and differences of several arms from one baseline with intervals. */
import { mean } from "./statistics.js";

/** Logarithm of the gamma function above 0 (Lanczos's approximation, g = 7), to about 15 digits. */
function logGamma(x: number): number {
  const [first, ...rest] = lanczos;
  const sum = rest.reduce((total, coefficient, at) => total + coefficient / (x + at), first!);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** The regularised incomplete beta function I_x(a, b), by its continued fraction (modified Lentz). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a); // where the fraction converges quickly
  const tiny = 1e-300;
  const bounded = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / bounded(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / bounded(1 + term * d);
      c = bounded(1 + term / c);
      fraction *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return (front * fraction) / a;
}

/** The t that a share `probability` (above 0.5) of Student's distribution lies below; degrees of freedom from 1 on. */
export function studentT(probability: number, degrees: number): number {
  const above = (t: number): number => incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
  let [low, high] = [0, 1];
  while (above(high) > 1 - probability) [low, high] = [high, 2 * high];
  for (let halving = 0; halving < 100 && high - low > 1e-13 * high; halving++) {
    const middle = (low + high) / 2;
    if (above(middle) > 1 - probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** A difference from the baseline with half the width of its interval; NaN where one seed leaves it open. */
export interface ArmDifference {
  readonly difference: number;
  readonly margin: number;
}

/**
 * Differences of arms from a baseline over the same seeds, paired: a seed fixes first weights, order and validation images. The
 * model is arm + seed + noise with one deviation of the noise (a randomised block design), which has arms · (seeds - 1)
 * degrees of freedom. The intervals hold all at once with 95 % at least (Bonferroni): each is one of 1 - 0.05 / arms.
 *
 * @param arms values seed by seed, in the baseline's order
 */
export function armDifferences(
  baseline: readonly number[],
  arms: ReadonlyMap<string, readonly number[]>,
): Map<string, ArmDifference> {
  const rows = [baseline, ...arms.values()];
  const seeds = baseline.length;
  const all = mean(rows.flat());
  const ofSeed = baseline.map((_, seed) => mean(rows.map((row) => row[seed]!)));
  const squares = rows.flatMap((row) => {
    const ofArm = mean(row);
    return row.map((value, seed) => (value - ofArm - ofSeed[seed]! + all) ** 2);
  });
  const degrees = arms.size * (seeds - 1);
  const variance = squares.reduce((sum, each) => sum + each, 0) / degrees;
  const margin =
    degrees > 0 ? studentT(1 - 0.025 / arms.size, degrees) * Math.sqrt((2 * variance) / seeds) : Number.NaN;
  const base = mean(baseline);
  return new Map([...arms].map(([name, values]) => [name, { difference: mean(values) - base, margin }]));
}

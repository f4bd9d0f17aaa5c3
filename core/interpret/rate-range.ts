/**
 * The learning rate range test (Smith 2017, "Cyclical learning rates"): train while the rate grows geometrically, and see
 * where the loss falls fastest and where it breaks away.
 */

import { mean } from "../statistics.js";

export interface RatePoint {
  readonly rate: number;
  readonly loss: number;
}

/** Rate of step `step` (from 0) of `steps`: from `low` to `high` in equal factors. */
export function rateAt(step: number, steps: number, low: number, high: number): number {
  return steps < 2 ? low : low * (high / low) ** (step / (steps - 1));
}

/** Takes losses one by one and gives their exponential average, with the bias of the first ones taken out, as Adam's. */
export function createSmoothing(beta = 0.9): (loss: number) => number {
  let [average, count] = [0, 0];
  return (loss) => {
    average = beta * average + (1 - beta) * loss;
    return average / (1 - beta ** ++count);
  };
}

export function smoothed(losses: readonly number[], beta?: number): number[] {
  const smooth = createSmoothing(beta);
  return losses.map((loss) => smooth(loss));
}

/** Once the loss is so many times its lowest, larger rates have nothing more to say. */
export const explodes = (loss: number, lowest: number): boolean => !Number.isFinite(loss) || loss > 4 * lowest;

export interface RateSuggestion {
  /** Where the loss falls fastest over the logarithm of the rate. */
  readonly steepest: number;
  /** A tenth of the rate at which the smoothed loss is lowest: the largest that is still safe. */
  readonly safe: number;
}

/**
 * Slopes are those of straight lines through a fifth of the points around each: single steps of a small batch go up and
 * down by more than the rate moves them.
 *
 * @param points of the test in order
 * @returns nothing where the loss never falls
 */
export function suggestRates(points: readonly RatePoint[]): RateSuggestion | undefined {
  const reach = Math.max(2, Math.floor(points.length / 10));
  if (points.length < 2 * reach + 1) return undefined;
  const losses = smoothed(points.map(({ loss }) => loss));
  let lowest = reach; // the average has settled by then
  for (let at = reach; at < points.length; at++) if (losses[at]! < losses[lowest]!) lowest = at;
  let [steepest, slope] = [-1, 0];
  // Up to the lowest point: behind it every fall is a swing of a loss that has broken away.
  for (let at = reach; at <= Math.min(lowest, points.length - 1 - reach); at++) {
    const found = slopeOf(points.slice(at - reach, at + reach + 1));
    if (found < slope) [steepest, slope] = [at, found];
  }
  if (steepest < 0) return undefined;
  return { steepest: points[steepest]!.rate, safe: points[lowest]!.rate / 10 };
}

/** Least squares, over the logarithm of the rate. */
function slopeOf(points: readonly RatePoint[]): number {
  const x = points.map(({ rate }) => Math.log(rate));
  const [meanX, meanY] = [mean(x), mean(points.map(({ loss }) => loss))];
  let [products, squares] = [0, 0];
  points.forEach(({ loss }, at) => {
    products += (x[at]! - meanX) * (loss - meanY);
    squares += (x[at]! - meanX) ** 2;
  });
  return products / squares;
}

/**
 * The learning rate range test (Smith 2017, "Cyclical learning rates"): the rate grows geometrically over a short training,
 * and the curve of the loss shows where learning is fastest and where it diverges.
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

/** An exponential average of losses, one at a time, with Adam's bias correction. */
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

/** Whether the test may end: at this loss, larger rates show nothing more. */
export const explodes = (loss: number, lowest: number): boolean => !Number.isFinite(loss) || loss > 4 * lowest;

export interface RateSuggestion {
  /** The rate with the steepest fall of the loss over the logarithm of the rate. */
  readonly steepest: number;
  /** A tenth of the largest rate whose loss is still within a tenth of its fall above the lowest one. */
  readonly safe: number;
}

/** A curve that allows no suggestion. */
export interface RateProblem {
  readonly problem: "short" | "flat";
  /** Smoothed losses: the lowest one, and the one below which the network has learned something. */
  readonly lowest: number;
  readonly needed: number;
}

/** How far above the lowest loss, in shares of the fall, the floor of the curve reaches. */
const floorShare = 0.1;

/** A smaller fall is noise, or the network only learns to guess: it calibrates its outputs. */
const leastFall = 0.05;

/**
 * Reads the curve of a range test. Slopes are those of straight lines through a fifth of the points: single steps of a
 * small batch vary more than the rate moves them.
 *
 * @param points of the test, in order
 * @param chance the loss of a guess, ln(classes) for cross entropy; a network that never gets 5 % below it, or below its
 *   own first loss, has learned nothing from which a rate could be read
 */
export function suggestRates(
  points: readonly RatePoint[],
  chance = Number.POSITIVE_INFINITY,
): RateSuggestion | RateProblem {
  const reach = Math.max(2, Math.floor(points.length / 10));
  const losses = smoothed(points.map(({ loss }) => loss));
  let lowest = Math.min(reach, losses.length - 1); // the average has settled by then
  const needed = (1 - leastFall) * Math.min(chance, losses[lowest] ?? Number.POSITIVE_INFINITY);
  for (let at = lowest; at < points.length; at++) if (losses[at]! < losses[lowest]!) lowest = at;
  const found = { lowest: losses[lowest] ?? Number.NaN, needed };
  if (points.length < 2 * reach + 1) return { problem: "short", ...found };
  if (found.lowest > needed) return { problem: "flat", ...found };
  let [steepest, slope] = [-1, 0];
  // Only up to the lowest point: later falls are swings of a diverging loss.
  for (let at = reach; at <= Math.min(lowest, points.length - 1 - reach); at++) {
    const here = slopeOf(points.slice(at - reach, at + reach + 1));
    if (here < slope) [steepest, slope] = [at, here];
  }
  if (steepest < 0) return { problem: "flat", ...found };
  return { steepest: points[steepest]!.rate, safe: points[endOfFloor(points)]!.rate / 10 };
}

/**
 * The last place where the loss is still about its lowest: larger rates begin to diverge. The lowest place itself is no
 * measure, since the floor is flat over half a decade, and noise decides which of its places is the lowest.
 */
function endOfFloor(points: readonly RatePoint[]): number {
  const half = Math.max(2, Math.floor(points.length / 20));
  const losses = points.map((_, at) =>
    mean(points.slice(Math.max(0, at - half), at + half + 1).map(({ loss }) => loss)),
  );
  const last = points.length - 1 - half; // behind it the mean lacks the losses that diverge
  let lowest = Math.min(2 * half, last);
  for (let at = lowest; at <= last; at++) if (losses[at]! < losses[lowest]!) lowest = at;
  const ceiling = losses[lowest]! + floorShare * (losses[2 * half]! - losses[lowest]!);
  let end = lowest;
  while (end < last && losses[end + 1]! <= ceiling) end++;
  return end;
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

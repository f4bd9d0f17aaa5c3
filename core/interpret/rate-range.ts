/**
 * The learning rate range test (Smith 2017, "Cyclical learning rates"): train while the rate grows geometrically, and see
 * where the loss falls fastest and where it breaks away.
 */

export interface RatePoint {
  readonly rate: number;
  readonly loss: number;
}

/** Rate of step `step` (from 0) of `steps`: from `low` to `high` in equal factors. */
export function rateAt(step: number, steps: number, low: number, high: number): number {
  return steps < 2 ? low : low * (high / low) ** (step / (steps - 1));
}

/** Exponential averages with the bias of the first ones taken out, as Adam's. */
export function smoothed(losses: readonly number[], beta = 0.9): number[] {
  let average = 0;
  return losses.map((loss, at) => {
    average = beta * average + (1 - beta) * loss;
    return average / (1 - beta ** (at + 1));
  });
}

/** Once the loss is so many times its lowest, larger rates have nothing more to say. */
export const explodes = (loss: number, lowest: number): boolean => !Number.isFinite(loss) || loss > 4 * lowest;

export interface RateSuggestion {
  /** Where the smoothed loss falls fastest over the logarithm of the rate. */
  readonly steepest: number;
  /** A tenth of the rate at which the smoothed loss is lowest: the largest that is still safe. */
  readonly safe: number;
}

/**
 * @param points of the test in order; the first tenth, which the average has not settled in, is not looked at
 * @returns nothing where the loss never falls
 */
export function suggestRates(points: readonly RatePoint[]): RateSuggestion | undefined {
  const losses = smoothed(points.map(({ loss }) => loss));
  const first = Math.floor(points.length / 10);
  let [lowest, steepest, slope] = [first, -1, 0];
  for (let at = first; at < points.length; at++) if (losses[at]! < losses[lowest]!) lowest = at;
  // Central differences, up to the lowest point: behind it every fall is a swing of a loss that has broken away.
  for (let at = Math.max(1, first); at < Math.min(lowest + 1, points.length - 1); at++) {
    const found = (losses[at + 1]! - losses[at - 1]!) / Math.log(points[at + 1]!.rate / points[at - 1]!.rate);
    if (found < slope) [steepest, slope] = [at, found];
  }
  if (steepest < 0) return undefined;
  return { steepest: points[steepest]!.rate, safe: points[lowest]!.rate / 10 };
}

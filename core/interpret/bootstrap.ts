/** Bootstrap intervals of a metric over images (Efron 1979). */
import { stream } from "../rng.js";
import { quantile } from "../statistics.js";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 1000. */
  resamples?: number;
  /** Share of resamples within the interval. Default 0.95. */
  level?: number;
  /** Default 1. The same seed gives the same intervals. */
  seed?: number;
}

/**
 * Percentile intervals of metrics over `count` images.
 *
 * @param figures the metrics of the images at these indices, drawn with replacement; called once per resample, each time
 *   with the same array
 * @returns an interval for each metric
 */
export function bootstrap(
  count: number,
  figures: (places: Int32Array) => readonly number[],
  { resamples = 1000, level = 0.95, seed = 1 }: BootstrapOptions = {},
): Interval[] {
  const places = new Int32Array(count);
  const drawn = Array.from({ length: resamples }, (_, resample) => {
    const random = stream(seed, "bootstrap", resample);
    for (let at = 0; at < count; at++) places[at] = random.int(count);
    return [...figures(places)];
  });
  return drawn[0]!.map((_, figure) => {
    const sorted = Float64Array.from(drawn, (row) => row[figure]!).sort();
    return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
  });
}

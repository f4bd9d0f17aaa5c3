/** Confidence interval of a proportion. */
import type { Interval } from "./bootstrap.js";

/**
 * The score interval of a proportion (Wilson 1927). Unlike the normal interval it has a width where all or none of the
 * images are hits.
 *
 * @param z standard deviations; the default is 95 %
 */
export function wilson(hits: number, count: number, z = 1.959964): Interval {
  if (count === 0) return { low: 0, high: 1 };
  const share = hits / count;
  const centre = share + z ** 2 / (2 * count);
  const reach = z * Math.sqrt((share * (1 - share)) / count + z ** 2 / (4 * count ** 2));
  const scale = 1 + z ** 2 / count;
  return { low: Math.max(0, (centre - reach) / scale), high: Math.min(1, (centre + reach) / scale) };
}

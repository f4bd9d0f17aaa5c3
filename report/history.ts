/**
 * A curve of any length in a bounded number of points: steps fall into buckets of one width, which doubles whenever there
 * are too many. A bucket keeps mean, least and greatest, so that a spike stays to be seen.
 */

export interface Bucket {
  /** The last step in it. */
  step: number;
  count: number;
  /** By name; what is not finite counts for nothing here. */
  readonly figures: Map<string, { sum: number; count: number; low: number; high: number }>;
}

export interface History {
  add(step: number, figures: Readonly<Record<string, unknown>>): void;
  readonly buckets: readonly Bucket[];
}

export function createHistory(most = 1500): History {
  let buckets: Bucket[] = [];
  let width = 1;
  return {
    get buckets() {
      return buckets;
    },
    add(step, figures) {
      while (buckets.length > 0 && buckets.at(-1)!.step >= step) buckets.pop(); // gone back over
      let last = buckets.at(-1);
      if (!last || last.count >= width) {
        if (buckets.length >= most) {
          buckets = halved(buckets);
          width *= 2;
        }
        last = { step, count: 0, figures: new Map() };
        buckets.push(last);
      }
      last.step = step;
      last.count++;
      for (const [name, value] of Object.entries(figures)) {
        if (typeof value !== "number" || !Number.isFinite(value)) continue;
        merge(last, name, { sum: value, count: 1, low: value, high: value });
      }
    },
  };
}

function merge(
  { figures }: Bucket,
  name: string,
  more: { sum: number; count: number; low: number; high: number },
): void {
  const known = figures.get(name);
  if (!known) return void figures.set(name, { ...more });
  known.sum += more.sum;
  known.count += more.count;
  known.low = Math.min(known.low, more.low);
  known.high = Math.max(known.high, more.high);
}

function halved(buckets: readonly Bucket[]): Bucket[] {
  const result: Bucket[] = [];
  for (let at = 0; at < buckets.length; at += 2) {
    const [first, second] = [buckets[at]!, buckets[at + 1]];
    if (second) {
      first.step = second.step;
      first.count += second.count;
      for (const [name, figure] of second.figures) merge(first, name, figure);
    }
    result.push(first);
  }
  return result;
}

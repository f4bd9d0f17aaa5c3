/** Taking parts of a split: held out for validation, or a smaller set for a quick run. Pure and seeded. */

import { TrainerError } from "../errors.js";
import { stream } from "../rng.js";
import type { Split } from "./dataset.js";

/**
 * Divides places 0 … n - 1 so that every class gives the same share to `held`.
 *
 * `held` has round(fraction * n) places: each class gives its share rounded down, and the largest remainders
 * one more (Hamilton's method; ties go to the lower class). Every class keeps at least one place in `train`,
 * if need be at the cost of a smaller `held`. Both are in ascending order. A larger fraction holds out a
 * superset, up to rounding.
 *
 * @param fraction in [0, 1)
 */
export function stratifiedHoldout(
  labels: ArrayLike<number>,
  fraction: number,
  seed: number,
): { train: Int32Array; held: Int32Array } {
  if (!(fraction >= 0 && fraction < 1)) {
    throw new TrainerError("ERR_OPTION", `The held-out fraction is ${fraction}, expected a number in [0, 1).`);
  }
  const classes = placesByClass(labels);
  const quotas = shareOut(
    classes.map(({ places }) => places.length * fraction),
    classes.map(({ places }) => places.length - 1),
    Math.round(fraction * labels.length),
  );
  const isHeld = new Uint8Array(labels.length);
  classes.forEach(({ label, places }, at) => {
    const order = stream(seed, "holdout", label).permutation(places.length);
    for (const place of order.subarray(0, quotas[at])) isHeld[places[place]!] = 1;
  });
  const all = Int32Array.from(isHeld.keys());
  return { train: all.filter((place) => !isHeld[place]), held: all.filter((place) => isHeld[place]) };
}

/**
 * What a split into training and validation images leaves without any: sentences for people.
 *
 * @param labels of all images; `train` and `held` are places in it
 */
export function splitNotes(
  labels: ArrayLike<number>,
  { train, held }: { train: Int32Array; held: Int32Array },
  classes: readonly string[],
  fraction: number,
): string[] {
  const without = (places: Int32Array): string[] => {
    const seen = new Set(Array.from(places, (place) => labels[place]));
    return classes.filter((_, label) => !seen.has(label));
  };
  const listed = (names: readonly string[]): string =>
    `${names.length} of ${classes.length} classes: ${names.slice(0, 10).join(", ")}${names.length > 10 ? ", …" : ""}`;
  const untrained = without(train);
  const unseen = without(held).filter((name) => !untrained.includes(name));
  const notes = untrained.length > 0 ? [`No training image for ${listed(untrained)}.`] : [];
  if (fraction === 0) return notes;
  if (held.length === 0) {
    const share = `holdout ${fraction} of ${labels.length} images`;
    notes.push(`No validation image: ${share} gives none. Raise holdout, or set it to 0.`);
  } else if (unseen.length > 0) {
    notes.push(`No validation image for ${listed(unseen)}. Their validation figures are missing; raise holdout.`);
  }
  return notes;
}

/** Whole numbers near `shares`, none above its cap, that sum to `total` if the caps allow it. */
function shareOut(shares: readonly number[], caps: readonly number[], total: number): number[] {
  const quotas = shares.map((share, at) => Math.min(Math.floor(share), caps[at]!));
  let left = total - quotas.reduce((sum, quota) => sum + quota, 0);
  const byRemainder = [...shares.keys()].sort((a, b) => shares[b]! - quotas[b]! - (shares[a]! - quotas[a]!) || a - b);
  while (left > 0) {
    const open = byRemainder.filter((at) => quotas[at]! < caps[at]!);
    if (open.length === 0) break;
    for (const at of open.slice(0, left)) quotas[at]!++;
    left -= Math.min(left, open.length);
  }
  return quotas;
}

/** A split of the pictures at these places of another. */
export function subset(split: Split, indices: ArrayLike<number>): Split {
  const places = Int32Array.from(indices);
  const outside = places.find((place) => place < 0 || place >= split.length);
  if (outside !== undefined) {
    throw new TrainerError("ERR_INTERNAL", `place ${outside} was asked of a split of ${split.length}.`);
  }
  return {
    length: places.length,
    labels: Int32Array.from(places, (place) => split.labels[place]!),
    read: (asked) => split.read(Int32Array.from(asked, (place) => places[place]!)),
    ...(split.box && { box: (index: number) => split.box!(places[index]!) }),
    describe: (index) => split.describe(places[index]!),
  };
}

/**
 * At most `n` pictures, in their order, from all classes as evenly as can be. A larger limit gives a
 * superset, so learning curves over the limit compare like with like.
 */
export function limit(split: Split, n: number, seed: number): Split {
  if (!Number.isInteger(n) || n < 1) {
    throw new TrainerError("ERR_OPTION", `The limit on pictures is ${n}, expected a whole number from 1 on.`);
  }
  if (n >= split.length) return split;
  const classes = placesByClass(split.labels);
  const shuffled = classes.map(({ label, places }) => {
    return stream(seed, "limit", label)
      .permutation(places.length)
      .map((place) => places[place]!);
  });
  const order = stream(seed, "limit/classes").permutation(classes.length);
  const chosen: number[] = [];
  for (let round = 0; chosen.length < n; round++) {
    for (const at of order) {
      const place = shuffled[at]![round];
      if (place !== undefined && chosen.length < n) chosen.push(place);
    }
  }
  return subset(split, Int32Array.from(chosen).sort());
}

/** The places of each class that occurs, classes and places in ascending order. */
function placesByClass(labels: ArrayLike<number>): { label: number; places: number[] }[] {
  const byLabel = new Map<number, number[]>();
  for (let place = 0; place < labels.length; place++) {
    const label = labels[place]!;
    const places = byLabel.get(label);
    if (places) places.push(place);
    else byLabel.set(label, [place]);
  }
  return [...byLabel].sort(([a], [b]) => a - b).map(([label, places]) => ({ label, places }));
}

/** `count` places (or all there are), spread evenly: data sets are often sorted by class. */
export function spread(places: Int32Array, count: number): Int32Array {
  const taken = Math.min(count, places.length);
  return Int32Array.from({ length: taken }, (_, at) => places[Math.floor((at * places.length) / taken)]!);
}

/** Taking parts of a split: validation images, or a smaller set for a quick run. Pure and seeded. */

import { TrainerError } from "../errors.js";
import { stream } from "../rng.js";
import type { Data, Split } from "./dataset.js";

/**
 * Divides places 0 … n - 1 so that every class gives the same share to `validation`.
 *
 * `validation` has round(fraction * n) places: each class gives its share rounded down, and the largest remainders
 * one more (Hamilton's method; ties go to the lower class). Every class keeps at least one place in `train`,
 * if need be at the cost of a smaller `validation`. Both are in ascending order. A larger fraction holds out a
 * superset, up to rounding.
 *
 * @param fraction in [0, 1)
 */
export function stratifiedHoldout(
  labels: ArrayLike<number>,
  fraction: number,
  seed: number,
): { train: Int32Array; validation: Int32Array } {
  if (!(fraction >= 0 && fraction < 1)) {
    throw new TrainerError("ERR_OPTION", `holdout: expected a number from 0 to below 1, got ${fraction}.`);
  }
  const classes = placesByClass(labels);
  const quotas = shareOut(
    classes.map(({ places }) => places.length * fraction),
    classes.map(({ places }) => places.length - 1),
    Math.round(fraction * labels.length),
  );
  const isValidation = new Uint8Array(labels.length);
  classes.forEach(({ label, places }, at) => {
    const order = stream(seed, "holdout", label).permutation(places.length);
    for (const place of order.subarray(0, quotas[at])) isValidation[places[place]!] = 1;
  });
  const all = Int32Array.from(isValidation.keys());
  return { train: all.filter((place) => !isValidation[place]), validation: all.filter((place) => isValidation[place]) };
}

/**
 * What a split into training and validation images leaves without any: sentences for people.
 *
 * @param labels of all images; `train` and `validation` are places in it
 */
export function splitNotes(
  labels: ArrayLike<number>,
  { train, validation }: { train: Int32Array; validation: Int32Array },
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
  const unseen = without(validation).filter((name) => !untrained.includes(name));
  const notes = untrained.length > 0 ? [`No training image for ${listed(untrained)}.`] : [];
  notes.push(...unequalNote(labels, train, classes));
  if (fraction === 0) return notes;
  if (validation.length === 0) {
    const share = `holdout ${fraction} of ${labels.length} images`;
    notes.push(`No validation image: ${share} gives none. Raise holdout, or set it to 0.`);
  } else if (unseen.length > 0) {
    notes.push(`No validation image for ${listed(unseen)}. Their validation figures are missing.`);
  }
  return notes;
}

/** From this factor between the largest and the smallest class on, accuracy says little of the small ones. */
const unequal = 5;

function unequalNote(labels: ArrayLike<number>, train: Int32Array, classes: readonly string[]): string[] {
  const counts = new Array<number>(classes.length).fill(0);
  for (const place of train) counts[labels[place]!]!++;
  const present = [...counts.keys()].filter((label) => counts[label]! > 0).sort((a, b) => counts[a]! - counts[b]!);
  const [least, most] = [present[0]!, present.at(-1)!];
  if (present.length < 2 || counts[most]! < unequal * counts[least]!) return [];
  return [
    `Classes are unequal: ${classes[most]} has ${counts[most]} training images, ${classes[least]} ${counts[least]}. ` +
      "Read the macro figures, and weigh the classes or balance the order: --with class-weights, --with balanced-sampler.",
  ];
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

/** How a run uses the training split of a data set. `train` and `validation` are places in `available`, both ascending. */
export interface Divided {
  /** What `limitTrain` leaves, validation images included. */
  readonly available: Split;
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/**
 * Divides a training split into training and validation images: by the data set's own validation images, or else by
 * `holdout`.
 *
 * @param limitTrain at most so many images, of an own validation split's apart
 */
export function divide(
  { train, validation }: Pick<Data, "train" | "validation">,
  { limitTrain, holdout, seed }: { limitTrain?: number; holdout: number; seed: number },
): Divided {
  if (validation === undefined) {
    const available = limitTrain === undefined ? train : limit(train, limitTrain, seed);
    return { available, ...stratifiedHoldout(available.labels, holdout, seed) };
  }
  const isValidation = new Uint8Array(train.length);
  for (const place of validation) isValidation[place] = 1;
  const others = Int32Array.from(isValidation.keys()).filter((place) => !isValidation[place]);
  const labelsAt = (places: Int32Array): Int32Array => places.map((place) => train.labels[place]!);
  const chosen =
    limitTrain === undefined ? others : limitedPlaces(labelsAt(others), limitTrain, seed).map((at) => others[at]!);
  const all = Int32Array.from([...chosen, ...validation]).sort();
  const places = Int32Array.from(all.keys());
  return {
    available: all.length === train.length ? train : subset(train, all),
    train: places.filter((place) => !isValidation[all[place]!]),
    validation: places.filter((place) => isValidation[all[place]!]),
  };
}

/** A split of the images at these places of another. */
export function subset(split: Split, indices: ArrayLike<number>): Split {
  const places = Int32Array.from(indices);
  const outside = places.find((place) => place < 0 || place >= split.length);
  if (outside !== undefined) {
    throw new TrainerError("ERR_INTERNAL", `place ${outside} was read from a split of ${split.length}.`);
  }
  return {
    length: places.length,
    labels: Int32Array.from(places, (place) => split.labels[place]!),
    read: (asked) => split.read(Int32Array.from(asked, (place) => places[place]!)),
    ...(split.readRegions && {
      readRegions: (asked, regionOf) =>
        split.readRegions!(
          Int32Array.from(asked, (place) => places[place]!),
          regionOf,
        ),
    }),
    ...(split.box && { box: (index: number) => split.box!(places[index]!) }),
    describe: (index) => split.describe(places[index]!),
    ...(split.file && { file: (index: number) => split.file!(places[index]!) }),
  };
}

/**
 * At most `n` images, in their order, from all classes as evenly as can be. A larger limit gives a
 * superset, so learning curves over the limit compare like with like.
 */
export function limit(split: Split, n: number, seed: number): Split {
  if (!Number.isInteger(n) || n < 1) {
    throw new TrainerError("ERR_OPTION", `limit: expected a whole number of images from 1, got ${n}.`);
  }
  return n >= split.length ? split : subset(split, limitedPlaces(split.labels, n, seed));
}

/** The places that `limit` chooses, ascending. */
function limitedPlaces(labels: ArrayLike<number>, n: number, seed: number): Int32Array {
  if (n >= labels.length) return Int32Array.from({ length: labels.length }, (_, place) => place);
  const classes = placesByClass(labels);
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
  return Int32Array.from(chosen).sort();
}

/** The places of each class that occurs; classes and places in ascending order. */
export function placesByClass(labels: ArrayLike<number>): { label: number; places: number[] }[] {
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

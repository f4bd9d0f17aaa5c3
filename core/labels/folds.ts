/** Folds for out-of-fold answers: of every image by a model that was trained on the other folds. */
import { placesByClass } from "../data/holdout.js";
import { stream } from "../rng.js";

/**
 * The fold of each image, from 0 to `count` - 1: every class is spread over all folds, as evenly as can be, in an order drawn
 * from the seed. Images of one content are in one fold, since a copy in training would vouch for the label of the other.
 *
 * @param contents of each image, such as a hash; left out: all differ
 */
export function stratifiedFolds(
  labels: ArrayLike<number>,
  { count, seed, contents }: { count: number; seed: number; contents?: readonly string[] },
): Int32Array {
  const folds = new Int32Array(labels.length);
  const firsts = new Map<string, number>();
  const firstOf = Int32Array.from(labels, (_, place) => {
    const content = contents?.[place] ?? String(place);
    if (!firsts.has(content)) firsts.set(content, place);
    return firsts.get(content)!;
  });
  let next = 0; // across classes, so that folds are of one size
  for (const { label, places: all } of placesByClass(labels)) {
    const places = all.filter((place) => firstOf[place] === place);
    for (const at of stream(seed, "labels/folds", label).permutation(places.length))
      folds[places[at]!] = next++ % count;
  }
  return folds.map((_, place) => folds[firstOf[place]!]!);
}

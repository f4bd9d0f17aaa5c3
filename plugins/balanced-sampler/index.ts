/** Balanced sampling: an epoch shows every class equally often. */
import { z } from "zod";
import { definePlugin, placesByClass, type Stream } from "../../core/index.js";

const options = z.strictObject({
  strength: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("1: every class equally often; 0: as often as it has images; 0.5: by the square root of its images"),
});

/**
 * Places of an epoch, as many as there are labels: a class of n images has a share in proportion to n^(1 - strength). Inside a
 * class every image is drawn equally often, or once more.
 */
export function balancedOrder(labels: ArrayLike<number>, rng: Stream, strength: number): Int32Array {
  const total = labels.length;
  const classes = placesByClass(labels).map(({ places }) => places);
  const shares = classes.map(({ length }) => length ** (1 - strength));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const drawn: number[] = [];
  let reached = 0;
  classes.forEach((places, at) => {
    reached += shares[at]!;
    const end = at === classes.length - 1 ? total : Math.round((total * reached) / whole);
    while (drawn.length < end) {
      const round = rng.permutation(places.length).subarray(0, end - drawn.length);
      for (const place of round) drawn.push(places[place]!);
    }
  });
  return rng.permutation(total).map((at) => drawn[at]!);
}

export const balancedSampler = definePlugin({
  name: "balanced-sampler",
  summary: "Shows every class equally often in an epoch, however many images it has",
  options,
  slot: "order",
  apply({ strength }, { hooks }) {
    hooks.resolveOrder.tap((order, labels, rng) => (strength === 0 ? order : balancedOrder(labels, rng, strength)));
  },
});

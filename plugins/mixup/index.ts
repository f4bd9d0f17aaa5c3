/** MixUp (Zhang et al. 2018): averages each image, and its target, with another one. */
import { z } from "zod";
import { blend, definePlugin } from "../../core/index.js";

const options = z.strictObject({
  alpha: z
    .number()
    .positive()
    .default(1)
    .describe("the image's own share is drawn from Beta(alpha, alpha); use 0.2 for ImageNet"),
  probability: z.number().min(0).max(1).default(1).describe("share of micro-batches to mix"),
});

export const mixup = definePlugin({
  name: "mixup",
  summary: "MixUp: averages each image and its target with another one",
  options,
  slot: "mixing",
  apply({ alpha, probability }, { hooks, stream }) {
    hooks.beforeBatch.tap((batch, { microBatch }) => {
      const rng = stream(microBatch);
      const size = batch.images.shape[0];
      if (!rng.chance(probability) || size === 1) return batch;
      return blend.mixRows(batch, rng.beta(alpha, alpha), rng.permutation(size));
    });
  },
});

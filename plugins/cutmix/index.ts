/** CutMix (Yun et al. 2019): pastes a box of another image, and mixes the targets by area. */
import { z } from "zod";
import { blend, definePlugin, type Stream } from "../../core/index.js";

const options = z.strictObject({
  alpha: z.number().positive().default(1).describe("the image's own share is drawn from Beta(alpha, alpha)"),
  probability: z.number().min(0).max(1).default(1).describe("share of micro-batches to mix"),
});

export const cutmix = definePlugin({
  name: "cutmix",
  summary: "CutMix: pastes a box of another image and mixes the targets by area",
  options,
  slot: "mixing",
  apply({ alpha, probability }, { hooks, stream }) {
    hooks.beforeBatch.tap((batch, { microBatch }) => {
      const rng: Stream = stream(microBatch);
      const [size, height, width] = batch.images.shape;
      if (!rng.chance(probability) || size === 1) return batch;
      const box = blend.cutBox(height, width, rng.beta(alpha, alpha), rng.int(width), rng.int(height));
      return blend.pasteBox(batch, box, rng.permutation(size));
    });
  },
});

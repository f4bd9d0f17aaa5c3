/** Label smoothing (Szegedy et al. 2016): spreads a share of each target over all classes. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  smoothing: z.number().min(0).lt(1).default(0.1).describe("share of each target to spread over all classes"),
});

/** q = (1 - e) t + e / K, over K classes and so the true one too: section 7. `targets` [batch, classes]. */
export function smooth(targets: tf.Tensor2D, smoothing: number): tf.Tensor2D {
  return tf.add(tf.mul(targets, 1 - smoothing), smoothing / targets.shape[1]);
}

export const labelSmoothing = definePlugin({
  name: "label-smoothing",
  summary: "Spreads a share of each target over all classes",
  options,
  slot: "smoothing",
  apply({ smoothing }, { hooks }) {
    // Late, after mixing plugins. The map is affine, so the other order would give the same targets.
    hooks.beforeBatch.tap({ stage: "late" }, (batch) => ({
      ...batch,
      targets: smooth(batch.targets, smoothing),
    }));
  },
});

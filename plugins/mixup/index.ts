/** MixUp (Zhang et al. 2018): averages each image, and its target, with another one. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Batch, definePlugin } from "../../core/index.js";

const options = z.strictObject({
  alpha: z
    .number()
    .positive()
    .default(1)
    .describe("the image's own share is drawn from Beta(alpha, alpha); use 0.2 for ImageNet"),
  probability: z.number().min(0).max(1).default(1).describe("share of micro-batches to mix"),
});

/** Equation 1: kept · row i + (1 - kept) · row `partners[i]`, for images and targets. */
export function mixRows(batch: Batch, kept: number, partners: Int32Array): Batch {
  return tf.tidy(() => {
    const order = tf.tensor1d(partners, "int32");
    const mix = <T extends tf.Tensor>(rows: T): T =>
      tf.add(tf.mul(rows, kept), tf.mul(tf.gather(rows, order), 1 - kept)) as T;
    return { ...batch, images: mix(batch.images), targets: mix(batch.targets) };
  });
}

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
      return mixRows(batch, rng.beta(alpha, alpha), rng.permutation(size));
    });
  },
});

/** Class weights: images of rare classes count more in the loss. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  weights: z
    .union([z.literal("inverse"), z.array(z.number().min(0)).min(2)])
    .default("inverse")
    .describe('"inverse" to the training images of a class, or a number for each class in their order'),
  power: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("exponent of inverse weights: 0.5 for square roots, 0 for equal weights"),
});

/** (N / (K n))^power for a class of n of the N images, K classes having some; 1 for a class without images. */
export function inverseWeights(labels: Iterable<number>, classes: number, power: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]!++;
  const images = counts.reduce((sum, count) => sum + count, 0);
  const present = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 1 : (images / (present * count)) ** power));
}

/**
 * Targets with which the mean of a loss that is linear in them is its weighted mean: each class times its weight, over the mean
 * weight of the images' own classes.
 */
export function weighTargets(targets: tf.Tensor2D, labels: Int32Array, weights: readonly number[]): tf.Tensor2D {
  const total = labels.reduce((sum, label) => sum + weights[label]!, 0);
  if (total === 0) return tf.zerosLike(targets);
  return tf.mul(
    targets,
    weights.map((weight) => (weight * labels.length) / total),
  );
}

export const classWeights = definePlugin({
  name: "class-weights",
  summary: "Weighs the classes in the loss, by default inversely to their images",
  options,
  apply({ weights: given, power }, { hooks }) {
    let weights: readonly number[] = given === "inverse" ? [] : given;
    hooks.onFitStart.tap(({ data, trainIndices }) => {
      const { classes, train } = data;
      if (given !== "inverse" && given.length !== classes.length) {
        throw new Error(`expected ${classes.length} weights, one for each class, got ${given.length}.`);
      }
      if (given !== "inverse") return;
      weights = inverseWeights(
        Array.from(trainIndices, (place) => train.labels[place]!),
        classes.length,
        power,
      );
    });
    // Last: smoothed and mixed targets are weighed too.
    hooks.beforeBatch.tap({ stage: "last", weighs: true }, (batch) => {
      if (weights.every((weight) => weight === weights[0])) return batch;
      return { ...batch, targets: weighTargets(batch.targets, batch.labels, weights) };
    });
  },
});

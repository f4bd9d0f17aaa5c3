/** Gradient clipping by global norm (Pascanu et al. 2013). */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Gradients, ops } from "../../core/index.js";

const options = z.strictObject({
  maximum: z.number().positive().default(1).describe("largest norm of all gradients together"),
});

/**
 * The factor of PyTorch's clip_grad_norm_: min(1, maximum / (norm + 1e-6)). Algorithm 1 has no 1e-6. The factor is 1 for a
 * norm that is not finite: the loop rejects and reports that step, and scaling would turn it into NaN or zero.
 */
export function clipFactor(norm: tf.Tensor, maximum: number): tf.Tensor {
  return tf.where(tf.isFinite(norm), tf.minimum(1, tf.div(maximum, tf.add(norm, 1e-6))), 1);
}

/** Scales all gradients by one factor to a norm of at most `maximum`, which keeps their direction. */
export function clipped(gradients: Gradients, maximum: number): Gradients {
  const factor = clipFactor(tf.sqrt(ops.squaredNorm([...gradients.values()])), maximum);
  return new Map([...gradients].map(([name, gradient]) => [name, tf.mul(gradient, factor)]));
}

export const gradientClipping = definePlugin({
  name: "gradient-clipping",
  summary: "Limits the norm of the gradient",
  options,
  apply({ maximum }, { hooks }) {
    hooks.beforeStep.tap({ pure: true }, (gradients) => clipped(gradients, maximum));
  },
});

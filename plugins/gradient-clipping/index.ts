/** Gradient clipping by global norm (Pascanu et al. 2013). */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Gradients, ops } from "../../core/index.js";

const options = z.strictObject({
  maximum: z.number().positive().default(1).describe("largest norm of all gradients together"),
});

/**
 * What PyTorch's clip_grad_norm_ multiplies by: min(1, maximum / (norm + 1e-6)). Algorithm 1 has no 1e-6. One for a norm
 * that is not finite: the loop refuses the step and says so, where scaling would make it NaN or zero.
 */
export function clipFactor(norm: tf.Tensor, maximum: number): tf.Tensor {
  return tf.where(tf.isFinite(norm), tf.minimum(1, tf.div(maximum, tf.add(norm, 1e-6))), 1);
}

/** Shortens gradients to `maximum`, all by one factor, so that their direction stays. */
export function clipped(gradients: Gradients, maximum: number): Gradients {
  const factor = clipFactor(tf.sqrt(ops.squaredNorm([...gradients.values()])), maximum);
  return new Map([...gradients].map(([name, gradient]) => [name, tf.mul(gradient, factor)]));
}

export const gradientClipping = definePlugin({
  name: "gradient-clipping",
  summary: "Shortens the gradient of a step to a largest norm",
  options,
  apply({ maximum }, { hooks }) {
    hooks.beforeStep.tap({ pure: true }, (gradients) => clipped(gradients, maximum));
  },
});

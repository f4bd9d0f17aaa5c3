import * as tf from "@tensorflow/tfjs-core";
import type { UpdateContext, UpdateRule } from "../../core/nn/optimizers.js";

/** One update of one value, as a step makes it. Inside a tidy. */
export function updateOnce(
  optimizer: UpdateRule,
  value: tf.Tensor,
  gradient: tf.Tensor,
  slots: tf.Tensor[],
  context: UpdateContext,
): [tf.Tensor, tf.Tensor[]] {
  const factors = Object.entries(optimizer.factors(context)).map(([name, factor]) => [name, tf.scalar(factor)]);
  return optimizer.update(value, gradient, slots, Object.fromEntries(factors));
}

/** Max-norm constraint (Srebro and Shraibman 2005; Srivastava et al. 2014): no unit's weights grow longer than a limit. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Layout, namedParameters } from "../../core/index.js";

const options = z.strictObject({
  maximum: z.number().positive().default(3).describe("largest Euclidean norm of the weights into one unit"),
});

/** The axis of a kernel that counts its units: PyTorch's axis 0. */
const unitAxis: Readonly<Record<Exclude<Layout, "vector">, number>> = { conv: 3, depthwise: 2, linear: 1 };

/**
 * As torch.renorm(kernel, 2, 0, maximum): units longer than `maximum` are scaled by maximum / (norm + 1e-7), all others stay
 * as they are. `axis` counts the units.
 */
export function renormalised(kernel: tf.Tensor, axis: number, maximum: number): tf.Tensor {
  const others = kernel.shape.flatMap((_, each) => (each === axis ? [] : [each]));
  const norm = tf.sqrt(tf.sum(tf.square(kernel), others, true));
  const factor = tf.where(tf.greater(norm, maximum), tf.div(maximum, tf.add(norm, 1e-7)), tf.onesLike(norm));
  return tf.mul(kernel, factor);
}

export const maxNorm = definePlugin({
  name: "max-norm",
  summary: "Limits the norm of the weights into each unit",
  options,
  apply({ maximum }, { hooks }) {
    let axes: ReadonlyMap<string, number> = new Map(); // kernel -> its axis of units
    hooks.onFitStart.tap(({ model }) => {
      axes = new Map(
        [...namedParameters(model.layer)].flatMap(([name, { layout }]) =>
          layout === "vector" ? [] : [[name, unitAxis[layout]] as const],
        ),
      );
    });
    // Late: what bounds the weights comes after what moves them.
    hooks.afterStep.tap({ stage: "late" }, (weights, { updated }) => {
      const next = new Map(weights);
      for (const name of updated) {
        const axis = axes.get(name);
        if (axis !== undefined) next.set(name, renormalised(weights.get(name)!, axis, maximum));
      }
      return next;
    });
  },
});

/** Batch norm, in training and with given statistics. */
import * as tf from "@tensorflow/tfjs-core";
import { defineNative, execute, Float, onTensorflow, Type } from "./native-kernel.js";

const batchNormAttributes = (epsilon: unknown, training: boolean): Record<string, unknown> => ({
  U: new Type("TF_FLOAT"),
  data_format: "NHWC",
  epsilon: new Float(epsilon as number),
  is_training: training,
});

const nativeBatchNorm = defineNative(
  "BatchNorm",
  { inputs: ["x", "scale"], outputs: [false, false, false, true, true, true] },
  (backend, { x, scale, offset, mean, variance }, { epsilon, momentum }) =>
    execute(
      backend,
      "FusedBatchNormV3",
      [x!, scale!, offset!, mean!, variance!],
      { ...batchNormAttributes(epsilon, true), exponential_avg_factor: new Float(momentum as number) },
      6,
    ),
  (backend, [dy], [x, scale, ...reserves], { epsilon }) => {
    const outputs = execute(
      backend,
      "FusedBatchNormGradV3",
      [dy!, x!, scale!, ...reserves],
      batchNormAttributes(epsilon, true),
      5,
    );
    return { x: () => outputs[0]!, scale: () => outputs[1]!, offset: () => outputs[2]! };
  },
);

/** Running statistics, each [channels]. */
export interface Statistics {
  mean: tf.Tensor;
  variance: tf.Tensor;
}

export interface BatchNormOptions {
  epsilon: number;
  /** Share of this batch in the next running statistics: PyTorch's `momentum`. */
  momentum: number;
}

/**
 * Batch norm with the statistics of the batch: `x` [batch, height, width, channels], `scale` and `offset` [channels].
 * Returns the next running statistics too, of mean and unbiased variance as in PyTorch: TensorFlow's kernel moves
 * them on the way, which saves six small operations a norm.
 */
export function batchNorm(
  x: tf.Tensor,
  scale: tf.Tensor,
  offset: tf.Tensor,
  running: Statistics,
  options: BatchNormOptions,
): Statistics & { y: tf.Tensor } {
  if (!onTensorflow()) return composedBatchNorm(x, scale, offset, running, options);
  const { epsilon, momentum } = options;
  const [y, mean, variance] = nativeBatchNorm({ x, scale, offset, ...running }, { epsilon, momentum });
  return { y: y!, mean: mean!, variance: variance! };
}

/** The same from tf.js operations, with the closed-form gradient (Ioffe and Szegedy 2015). */
function composedBatchNorm(
  x: tf.Tensor,
  scale: tf.Tensor,
  offset: tf.Tensor,
  running: Statistics,
  { epsilon, momentum }: BatchNormOptions,
): Statistics & { y: tf.Tensor } {
  const axes = [0, 1, 2];
  const count = x.size / x.shape[3]!;
  const mean = tf.mean(x, axes);
  // Two passes: the mean of squares minus the squared mean loses digits in float32.
  const biased = tf.mean(tf.square(tf.sub(x, mean)), axes);
  const normalise = tf.customGrad((...args) => {
    const [input, gamma, beta, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const inverse = tf.rsqrt(tf.add(biased, epsilon));
    const normal = tf.mul(tf.sub(input, mean), inverse);
    save([normal, gamma, inverse]);
    return {
      value: tf.add(tf.mul(normal, gamma), beta),
      gradFunc: (dy, saved) => {
        const [normalised, factor, inverseDeviation] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const dOffset = tf.sum(dy, axes);
        const dScale = tf.sum(tf.mul(dy, normalised), axes);
        const correction = tf.div(tf.add(dOffset, tf.mul(normalised, dScale)), count);
        const dx = tf.mul(tf.sub(dy, correction), tf.mul(factor, inverseDeviation));
        return [dx, dScale, dOffset];
      },
    };
  });
  const moved = (old: tf.Tensor, batch: tf.Tensor, correction = 1): tf.Tensor =>
    tf.add(tf.mul(old, 1 - momentum), tf.mul(batch, momentum * correction));
  return {
    y: normalise(x, scale, offset),
    mean: moved(running.mean, mean),
    variance: moved(running.variance, biased, count / Math.max(1, count - 1)),
  };
}

const nativeBatchNormInference = defineNative(
  "BatchNormInference",
  { inputs: ["x", "scale", "mean", "variance"] },
  (backend, { x, scale, offset, mean, variance }, { epsilon }) => {
    const inputs = [x!, scale!, offset!, mean!, variance!];
    const [y, ...rest] = execute(backend, "FusedBatchNormV3", inputs, batchNormAttributes(epsilon, false), 6);
    tf.dispose(rest);
    return [y!];
  },
  // Statistics are given, so unlike in training each is a factor or a sum.
  (_, [dy], [x, scale, mean, variance], { epsilon }) => {
    const inverse = (): tf.Tensor => tf.rsqrt(tf.add(variance!, epsilon as number));
    return {
      x: () => tf.mul(dy!, tf.mul(scale!, inverse())),
      scale: () => tf.mul(tf.sum(tf.mul(dy!, tf.sub(x!, mean!)), [0, 1, 2]), inverse()),
      offset: () => tf.sum(dy!, [0, 1, 2]),
    };
  },
);

/** Batch norm with given statistics; differentiable, so that frozen norms and Grad-CAM pass through. */
export function batchNormInference(
  x: tf.Tensor,
  scale: tf.Tensor,
  offset: tf.Tensor,
  { mean, variance }: Statistics,
  epsilon: number,
): tf.Tensor {
  if (onTensorflow()) return nativeBatchNormInference({ x, scale, offset, mean, variance }, { epsilon })[0]!;
  const factor = tf.mul(scale, tf.rsqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(x, factor), tf.sub(offset, tf.mul(mean, factor)));
}

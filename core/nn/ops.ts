/**
 * The tensor operations that take most of a step's time, with cheap gradients.
 *
 * On TensorFlow each is one native kernel forward and one per gradient asked for; elsewhere it is composed of
 * tf.js operations that give the same numbers (tests hold both against PyTorch). Stock tf.js decomposes batch norm
 * and ReLU into many passes over memory, which halves the speed of a whole training step.
 */
import * as tf from "@tensorflow/tfjs-core";
import { pad2d } from "./convolution.js";
import { defineNative, execute, type NativeBackend, onTensorflow } from "./native-kernel.js";

export { type BatchNormOptions, batchNorm, batchNormInference, type Statistics } from "./batch-norm.js";
export { type ConvolutionOptions, conv2d, depthwiseConv2d } from "./convolution.js";
export { fakeQuantize, fakeQuantizeFilter } from "./fake-quantize.js";
export type { Precision } from "./precision.js";

const nativeRelu = defineNative(
  "Relu",
  { outputs: [true] },
  (backend, { x }) => execute(backend, "Relu", [x!]),
  (backend, [dy], [y]) => ({ x: () => execute(backend, "ReluGrad", [dy!, y!])[0]! }),
);

export function relu(x: tf.Tensor): tf.Tensor {
  return onTensorflow() ? nativeRelu({ x })[0]! : tf.relu(x);
}

const nativeRelu6 = defineNative(
  "Relu6",
  { outputs: [true] },
  (backend, { x }) => execute(backend, "Relu6", [x!]),
  (backend, [dy], [y]) => ({ x: () => execute(backend, "Relu6Grad", [dy!, y!])[0]! }),
);

/** min(max(x, 0), 6): the activation of networks for phones, whose range fits into 8 bits. */
export function relu6(x: tf.Tensor): tf.Tensor {
  return onTensorflow() ? nativeRelu6({ x })[0]! : tf.relu6(x);
}

/** min(max(x + 3, 0), 6) / 6: the sigmoid of networks for phones (Howard et al. 2019), as PyTorch's `hardsigmoid`. */
export function hardSigmoid(x: tf.Tensor): tf.Tensor {
  return tf.mul(relu6(tf.add(x, 3)), 1 / 6);
}

/** x * hardSigmoid(x), the activation of MobileNetV3: PyTorch's `hardswish`. */
export function hardSwish(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, hardSigmoid(x));
}

const nativeAdd = defineNative(
  "Add",
  {},
  (backend, { a, b }) => execute(backend, "AddV2", [a!, b!]),
  (_, [dy]) => ({ a: () => dy!.clone(), b: () => dy!.clone() }),
);

/** The sum of two tensors of one shape: the join of a residual block. */
export function add(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  tf.util.assertShapesMatch(a.shape, b.shape, "A residual block adds two tensors of one shape: ");
  return onTensorflow() ? nativeAdd({ a, b })[0]! : tf.add(a, b);
}

/** x * sigmoid(x), the activation of EfficientNet. Its gradient is s * (1 + x * (1 - s)). */
export const silu = tf.customGrad((...args) => {
  const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
  const gate = tf.sigmoid(x);
  save([x, gate]);
  return {
    value: tf.mul(x, gate),
    gradFunc: (dy, saved) => {
      const [input, s] = saved as [tf.Tensor, tf.Tensor];
      return tf.mul(dy, tf.mul(s, tf.add(tf.mul(input, tf.sub(1, s)), 1)));
    },
  };
}) as (x: tf.Tensor) => tf.Tensor;

/**
 * x Φ(x), the Gaussian error linear unit (Hendrycks and Gimpel 2016) in its exact form, as PyTorch's default. Its gradient
 * is Φ(x) + x φ(x), with Φ and φ the standard normal distribution and density.
 */
export const gelu = tf.customGrad((...args) => {
  const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
  const below = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
  save([x, below]);
  return {
    value: tf.mul(x, below),
    gradFunc: (dy, saved) => {
      const [input, share] = saved as [tf.Tensor, tf.Tensor];
      const density = tf.mul(tf.exp(tf.mul(tf.square(input), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return tf.mul(dy, tf.add(share, tf.mul(input, density)));
    },
  };
}) as (x: tf.Tensor) => tf.Tensor;

/** Mean over height and width: [batch, height, width, channels] -> [batch, channels]. */
export const globalAveragePool = tf.customGrad((...args) => {
  const [x] = args as [tf.Tensor];
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return {
    value: tf.mean(x, [1, 2]),
    // tf.js' own gradient of a mean uploads a tensor of ones as large as x.
    gradFunc: (dy) => {
      const share = tf.reshape(tf.div(dy, height * width), [batch, 1, 1, channels]);
      return tf.broadcastTo(share, [batch, height, width, channels]);
    },
  };
}) as (x: tf.Tensor) => tf.Tensor;

/**
 * Max pooling as PyTorch's, padded with what never wins. Unlike PyTorch's, NaN never wins either: the largest number beside it
 * does. A sum over the input that lets NaN through cost 0.3 to 1.1 % of a step and would be in every exported graph, so the
 * step's own checks have to find it: a convolution or norm before the pool has NaN in its gradient or statistics.
 */
export function maxPool(x: tf.Tensor, size: number, stride: number, padding: number): tf.Tensor {
  return tf.maxPool(pad2d(x, padding, -3.4e38), size, stride, "valid");
}

/** Largest number over height and width: [batch, height, width, channels] -> [batch, channels]. */
export function globalMaxPool(x: tf.Tensor): tf.Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  // As a pool, its gradient goes to one place; tf.max would give it to every place that holds the same number.
  const largest = tf.maxPool(x as tf.Tensor4D, [height, width], [height, width], "valid");
  return tf.reshape(largest, [batch, channels]);
}

/** Bilinear resize without antialiasing, half-pixel centres: PyTorch's `interpolate(align_corners=False)`. */
export function resize(images: tf.Tensor, height: number, width: number): tf.Tensor {
  const [batch, oldHeight, oldWidth, channels] = images.shape as [number, number, number, number];
  if (oldHeight === height && oldWidth === width) return images;
  const resized = tf.customGrad((...args) => {
    const [x] = args as [tf.Tensor4D];
    return {
      value: tf.image.resizeBilinear(x, [height, width], false, true),
      // tf.js' own gradient forgets the half pixel. Resizing is linear in rows and columns: the gradient is transposed.
      gradFunc: (dy) => {
        const rows = tf.matMul(bilinear(oldHeight, height), tf.reshape(dy, [batch, height, width * channels]), true);
        const split = tf.reshape(rows, [batch * oldHeight, width, channels]);
        return tf.reshape(tf.matMul(bilinear(oldWidth, width), split, true), images.shape);
      },
    };
  });
  return resized(images);
}

/** [new, old]: the share of each old row in each new one. */
function bilinear(from: number, to: number): tf.Tensor2D {
  const shares = new Float32Array(to * from);
  for (let row = 0; row < to; row++) {
    const place = Math.min(Math.max(((row + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(place);
    shares[row * from + low]! += 1 - (place - low);
    if (place > low) shares[row * from + low + 1]! += place - low;
  }
  return tf.tensor2d(shares, [to, from]);
}

/**
 * Cross entropy against distributions, mean over the batch: `logits` and `targets` [batch, classes].
 * The gradient is (softmax(logits) * mass - targets) / batch, the mass of a distribution being 1; none flows to the
 * targets.
 */
export function softCrossEntropy(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  const loss = tf.customGrad((...args) => {
    const [z, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const logProbabilities = tf.logSoftmax(z);
    // Saved, not only captured: targets made inside the tape are gone by the time the gradient is asked for.
    save([logProbabilities, targets]);
    const batch = z.shape[0]!;
    return {
      value: tf.div(tf.sum(tf.mul(logProbabilities, targets)), -batch),
      gradFunc: (dy, saved) => {
        const [logP, wanted] = saved as [tf.Tensor, tf.Tensor];
        const mass = tf.sum(wanted, 1, true);
        return tf.mul(tf.sub(tf.mul(tf.exp(logP), mass), wanted), tf.div(dy, batch));
      },
    };
  });
  return loss(logits);
}

const nativeHalfSquares = (x: tf.Tensor): tf.Tensor =>
  execute(tf.backend() as unknown as NativeBackend, "L2Loss", [x])[0]!;

/** Sum of the squares of every number of these tensors, a scalar; not finite as soon as one of them is not. */
export function squaredNorm(tensors: readonly tf.Tensor[]): tf.Tensor {
  if (tensors.length === 0) return tf.scalar(0);
  const parts = onTensorflow()
    ? tensors.map((tensor) => tf.mul(nativeHalfSquares(tensor), 2))
    : tensors.map((tensor) => tf.sum(tf.square(tensor)));
  // Not addN, which adds in another order as part of a graph.
  return tf.sum(tf.stack(parts));
}

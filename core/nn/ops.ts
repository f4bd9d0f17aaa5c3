/**
 * The tensor operations a step spends its time in, with gradients that cost what they must.
 *
 * On TensorFlow each is one native kernel forward and one per gradient asked for; elsewhere it is composed of
 * tf.js operations that give the same numbers (tests hold both against PyTorch). Stock tf.js decomposes batch norm
 * and ReLU into many passes over memory, which halves the speed of a whole training step.
 */
import * as tf from "@tensorflow/tfjs-core";
import { castAttributes, isBfloat16 } from "../backend/bfloat16.js";
import type { Constants } from "../backend/graph/native-calls.js";
import { isProduct } from "./filter-gradient.js";

type Attribute = { name: string; type: number; value: unknown };

/** The part of tfjs-node's backend that runs a TensorFlow operation by name. */
interface NativeBackend {
  binding: Constants;
  executeMultipleOutputs(name: string, attributes: Attribute[], inputs: tf.TensorInfo[], outputs: number): tf.Tensor[];
}

const onTensorflow = (): boolean => tf.getBackend() === "tensorflow";

/** Runs a TensorFlow operation of float32 tensors. Attribute kinds are told from their values; see `float`. */
function execute(
  backend: NativeBackend,
  operation: string,
  inputs: tf.TensorInfo[],
  attributes: Record<string, unknown> = {},
  outputs = 1,
): tf.Tensor[] {
  const { binding } = backend;
  const list: Attribute[] = [{ name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT }];
  for (const [name, value] of Object.entries(attributes)) {
    if (value instanceof Type) list.push({ name, type: binding.TF_ATTR_TYPE, value: binding[value.key] });
    else if (value instanceof Float) list.push({ name, type: binding.TF_ATTR_FLOAT, value: value.value });
    else if (typeof value === "boolean") list.push({ name, type: binding.TF_ATTR_BOOL, value });
    else if (typeof value === "string") list.push({ name, type: binding.TF_ATTR_STRING, value });
    else list.push({ name, type: binding.TF_ATTR_INT, value });
  }
  return backend.executeMultipleOutputs(operation, list, inputs, outputs);
}

/** An attribute that is a float even where its value is whole, and one that names a type. */
class Float {
  constructor(readonly value: number) {}
}
class Type {
  constructor(readonly key: "TF_FLOAT" | "TF_INT32") {}
}

/** A kernel of our own on TensorFlow, with a gradient that computes only what is asked for. */
function defineNative(
  name: string,
  saves: { inputs?: string[]; outputs?: boolean[] },
  kernel: (backend: NativeBackend, inputs: tf.NamedTensorInfoMap, attributes: tf.NamedAttrMap) => tf.Tensor[],
  gradient: (
    backend: NativeBackend,
    dys: tf.Tensor[],
    saved: tf.Tensor[],
    attributes: tf.NamedAttrMap,
  ) => Record<string, () => tf.Tensor>,
): (inputs: Record<string, tf.Tensor>, attributes?: tf.NamedAttrMap) => tf.Tensor[] {
  const kernelName = `fitloop.${name}`;
  tf.registerKernel({
    kernelName,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend, attrs }) => kernel(backend as NativeBackend, inputs, attrs ?? {}),
  });
  tf.registerGradient({
    kernelName,
    inputsToSave: saves.inputs ?? [],
    outputsToSave: saves.outputs ?? [],
    gradFunc: (dy, saved, attributes) => {
      // Native calls are on no tape: a gradient of this gradient would be missing, and nobody would notice.
      if (tf.engine().state.gradientDepth > 0)
        throw new Error(`${name} has no second derivative; tf.js' own operations do.`);
      return gradient(tf.backend() as unknown as NativeBackend, Array.isArray(dy) ? dy : [dy], saved, attributes);
    },
  });
  return (inputs, attributes = {}) => {
    const result = tf.engine().runKernel(kernelName, inputs, attributes) as tf.Tensor | tf.Tensor[];
    return Array.isArray(result) ? result : [result];
  };
}

// ------------------------------------------------------------------------------------------------- precision

const cast = (x: tf.TensorInfo, down: boolean): tf.Tensor => {
  const backend = tf.backend() as unknown as NativeBackend;
  return backend.executeMultipleOutputs("Cast", castAttributes(backend.binding, down), [x], 1)[0]!;
};

const nativeToBfloat16 = defineNative(
  "ToBfloat16",
  {},
  (_, { x }) => [cast(x!, true)],
  // Whatever was rounded on the way down is a float32 parameter or picture, and its gradient is one too.
  (_, [dy]) => ({ x: () => (isBfloat16(dy!) ? cast(dy!, false) : dy!.clone()) }),
);

/** Stored as bfloat16: 8 bits of float32's 24, the same range. tf.js takes it for float32 (core/backend/bfloat16.ts). */
function toBfloat16(x: tf.Tensor): tf.Tensor {
  return isBfloat16(x) ? x : nativeToBfloat16({ x })[0]!;
}

// ---------------------------------------------------------------------------------------------- convolution

/** How activations are stored, and convolutions computed. */
export type Precision = "float32" | "bfloat16";

export interface ConvolutionOptions {
  stride?: number;
  /** Default "float32". In "bfloat16" both inputs are rounded first, and so is the result; sums inside are float32. */
  precision?: Precision;
  /** Pixels of zeros on every side, as PyTorch pads; TensorFlow's "same" pads elsewhere for even sizes. */
  padding?: number;
}

/**
 * "Explicit" padding is PyTorch's, and oneDNN does not take it: the generic kernels behind it are two to eight times
 * slower. At stride 1 "same" pads alike, so it is used where both agree.
 */
const paddingAttributes = (attributes: tf.NamedAttrMap, kernel: number): Record<string, unknown> => {
  const { stride, padding: pad } = attributes as { stride: number; padding: number };
  if (pad === 0) return { padding: "VALID" };
  if (stride === 1 && 2 * pad === kernel - 1) return { padding: "SAME" };
  return explicitPadding(pad);
};

const explicitPadding = (pad: number): Record<string, unknown> => ({
  padding: "EXPLICIT",
  explicit_paddings: [0, 0, pad, pad, pad, pad, 0, 0],
});

const convolutionAttributes = (attributes: tf.NamedAttrMap, w: tf.TensorInfo): Record<string, unknown> => ({
  strides: [1, attributes.stride, attributes.stride, 1],
  ...paddingAttributes(attributes, w.shape[0]!),
  data_format: "NHWC",
  dilations: [1, 1, 1, 1],
});

const shapeTensor = (shape: number[]): tf.Tensor => tf.tensor1d(shape, "int32");

/** The gradient for a convolution's input; where oneDNN would refuse the padding, for the padded input, then cut. */
function inputGradient(
  backend: NativeBackend,
  operation: string,
  dy: tf.Tensor,
  x: tf.Tensor,
  w: tf.Tensor,
  attributes: tf.NamedAttrMap,
): tf.Tensor {
  const wanted = convolutionAttributes(attributes, w);
  if (wanted.padding !== "EXPLICIT") {
    return execute(backend, operation, [shapeTensor(x.shape), w, dy], wanted)[0]!;
  }
  const pad = attributes.padding as number;
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const padded = [batch, height + 2 * pad, width + 2 * pad, channels];
  const valid = convolutionAttributes({ ...attributes, padding: 0 }, w);
  const [whole] = execute(backend, operation, [shapeTensor(padded), w, dy], valid);
  return tf.slice(whole!, [0, pad, pad, 0], x.shape);
}

/**
 * The gradient for a filter, in the fastest way that is right. Depthwise ones stay off oneDNN, by explicit padding: it takes
 * up to twenty times as long for small maps. Of the others some are a product (`isProduct`), and the rest oneDNN's, which
 * wants its input padded beforehand where "same" pads elsewhere.
 */
function filterGradient(
  backend: NativeBackend,
  operation: string,
  dy: tf.Tensor,
  x: tf.Tensor,
  w: tf.Tensor,
  attributes: tf.NamedAttrMap,
): tf.Tensor {
  const { stride, padding } = attributes as { stride: number; padding: number };
  const wanted = convolutionAttributes(attributes, w);
  if (operation === "DepthwiseConv2dNative") {
    const name = `${operation}BackpropFilter`;
    return execute(backend, name, [x, shapeTensor(w.shape), dy], { ...wanted, ...explicitPadding(padding) })[0]!;
  }
  const [kernel, , channels] = w.shape as [number, number, number, number];
  const positions = dy.shape[1]! * dy.shape[2]!;
  const precision = isBfloat16(x) ? "bfloat16" : "float32";
  if (isProduct({ kernel, stride, channels, positions, precision }))
    return filterProduct(backend, dy, x, w, { stride, padding });
  const [seen, used] =
    wanted.padding === "EXPLICIT"
      ? [padZeros(x, padding), { ...wanted, padding: "VALID", explicit_paddings: [] }]
      : [x, wanted];
  return execute(backend, "Conv2DBackpropFilter", [seen, shapeTensor(w.shape), dy], used)[0]!;
}

/** The gradient for a filter as one product: patches of x, a row for each place of dy, transposed, times dy. */
function filterProduct(
  backend: NativeBackend,
  dy: tf.Tensor,
  x: tf.Tensor,
  w: tf.Tensor,
  { stride, padding }: { stride: number; padding: number },
): tf.Tensor {
  const [kernel, , channels, out] = w.shape as [number, number, number, number];
  const padded = padZeros(x, padding);
  const [batch, height, width] = padded.shape;
  const [, rows, columns] = dy.shape as [number, number, number, number];
  const places = patchPlaces([batch, height, width], [rows, columns], kernel, stride);
  const pixels = tf.reshape(padded, [batch * height * width, channels]);
  const patches = tf.reshape(tf.gather(pixels, places), [batch * rows * columns, kernel * kernel * channels]);
  const factors = [patches, tf.reshape(dy, [batch * rows * columns, out])];
  const [product] = execute(backend, "MatMul", factors, { transpose_a: true, transpose_b: false });
  return tf.reshape(product!, w.shape);
}

/** [batch * rows * columns, kernel * kernel]: where each pixel of each patch lies in a flattened padded batch. */
function patchPlaces(
  [batch, height, width]: readonly [number, number, number],
  [rows, columns]: readonly [number, number],
  kernel: number,
  stride: number,
): tf.Tensor2D {
  const places = new Int32Array(batch * rows * columns * kernel * kernel);
  let at = 0;
  for (let picture = 0; picture < batch; picture++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let y = row * stride; y < row * stride + kernel; y++) {
          for (let x = 0; x < kernel; x++) places[at++] = (picture * height + y) * width + column * stride + x;
        }
      }
    }
  }
  return tf.tensor2d(places, [batch * rows * columns, kernel * kernel], "int32");
}

/** A convolution and its gradients on TensorFlow; `operation` is what the names of all three begin with. */
const defineConvolution = (operation: string) =>
  defineNative(
    operation,
    { inputs: ["x", "w"] },
    (backend, { x, w }, attributes) => execute(backend, operation, [x!, w!], convolutionAttributes(attributes, w!)),
    (backend, [dy], [x, w], attributes) => ({
      x: () => inputGradient(backend, `${operation}BackpropInput`, dy!, x!, w!, attributes),
      w: () => filterGradient(backend, operation, dy!, x!, w!, attributes),
    }),
  );

const nativeConvolution = defineConvolution("Conv2D");

/**
 * Convolution as PyTorch's: `x` [batch, height, width, in], `w` [k, k, in, out] -> [batch, height', width', out].
 */
export function conv2d(x: tf.Tensor, w: tf.Tensor, options: ConvolutionOptions = {}): tf.Tensor {
  const { stride = 1, padding = 0, precision = "float32" } = options;
  if (onTensorflow()) {
    const inputs = precision === "float32" ? { x, w } : { x: toBfloat16(x), w: toBfloat16(w) };
    return nativeConvolution(inputs, { stride, padding })[0]!;
  }
  return tf.conv2d(padZeros(x, padding), w as tf.Tensor4D, stride, "valid");
}

const nativeDepthwise = defineConvolution("DepthwiseConv2dNative");

/** One filter a channel: `x` [batch, height, width, channels], `w` [k, k, channels, 1]. */
export function depthwiseConv2d(
  x: tf.Tensor,
  w: tf.Tensor,
  { stride = 1, padding = 0 }: ConvolutionOptions = {},
): tf.Tensor {
  if (onTensorflow()) return nativeDepthwise({ x, w }, { stride, padding })[0]!;
  return tf.depthwiseConv2d(padZeros(x, padding), w as tf.Tensor4D, stride, "valid");
}

function padZeros(x: tf.Tensor, padding: number, value = 0): tf.Tensor4D {
  if (padding === 0) return x as tf.Tensor4D;
  return tf.pad4d(
    x as tf.Tensor4D,
    [
      [0, 0],
      [padding, padding],
      [padding, padding],
      [0, 0],
    ],
    value,
  );
}

// ----------------------------------------------------------------------------------------------- batch norm

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

// ------------------------------------------------------------------------------------------- element by element

const nativeRelu = defineNative(
  "Relu",
  { outputs: [true] },
  (backend, { x }) => execute(backend, "Relu", [x!]),
  (backend, [dy], [y]) => ({ x: () => execute(backend, "ReluGrad", [dy!, y!])[0]! }),
);

export function relu(x: tf.Tensor): tf.Tensor {
  return onTensorflow() ? nativeRelu({ x })[0]! : tf.relu(x);
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

// --------------------------------------------------------------------------------------------------- pooling

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

/** Max pooling as PyTorch's, padded with what never wins. */
export function maxPool(x: tf.Tensor, size: number, stride: number, padding: number): tf.Tensor {
  return tf.maxPool(padZeros(x, padding, -3.4e38), size, stride, "valid");
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

// ------------------------------------------------------------------------------------------------------ loss

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

// ------------------------------------------------------------------------------------------------------ norms

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

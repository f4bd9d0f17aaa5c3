/** Convolutions as PyTorch pads them, with gradients in the fastest way that is right on TensorFlow. */
import * as tf from "@tensorflow/tfjs-core";
import { isBfloat16 } from "../backend/bfloat16.js";
import { isProduct } from "./filter-gradient.js";
import { defineNative, execute, type NativeBackend, onTensorflow } from "./native-kernel.js";
import { type Precision, toBfloat16 } from "./precision.js";

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
      ? [pad2d(x, padding), { ...wanted, padding: "VALID", explicit_paddings: [] }]
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
  const padded = pad2d(x, padding);
  const [batch, height, width] = padded.shape;
  const [, rows, columns] = dy.shape as [number, number, number, number];
  const places = patchIndices([batch, height, width], [rows, columns], kernel, stride);
  const pixels = tf.reshape(padded, [batch * height * width, channels]);
  const patches = tf.reshape(tf.gather(pixels, places), [batch * rows * columns, kernel * kernel * channels]);
  const factors = [patches, tf.reshape(dy, [batch * rows * columns, out])];
  const [product] = execute(backend, "MatMul", factors, { transpose_a: true, transpose_b: false });
  return tf.reshape(product!, w.shape);
}

/** [batch * rows * columns, kernel * kernel]: where each pixel of each patch lies in a flattened padded batch. */
function patchIndices(
  [batch, height, width]: readonly [number, number, number],
  [rows, columns]: readonly [number, number],
  kernel: number,
  stride: number,
): tf.Tensor2D {
  const places = new Int32Array(batch * rows * columns * kernel * kernel);
  let at = 0;
  for (let image = 0; image < batch; image++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let y = row * stride; y < row * stride + kernel; y++) {
          for (let x = 0; x < kernel; x++) places[at++] = (image * height + y) * width + column * stride + x;
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
  return tf.conv2d(pad2d(x, padding), w as tf.Tensor4D, stride, "valid");
}

const nativeDepthwise = defineConvolution("DepthwiseConv2dNative");

/** One filter a channel: `x` [batch, height, width, channels], `w` [k, k, channels, 1]. */
export function depthwiseConv2d(
  x: tf.Tensor,
  w: tf.Tensor,
  { stride = 1, padding = 0 }: ConvolutionOptions = {},
): tf.Tensor {
  if (onTensorflow()) return nativeDepthwise({ x, w }, { stride, padding })[0]!;
  return tf.depthwiseConv2d(pad2d(x, padding), w as tf.Tensor4D, stride, "valid");
}

/** Pads height and width of [batch, height, width, channels]. */
export function pad2d(x: tf.Tensor, padding: number, value = 0): tf.Tensor4D {
  if (padding === 0) return x as tf.Tensor4D;
  const both: [number, number] = [padding, padding];
  return tf.pad4d(x as tf.Tensor4D, [[0, 0], both, both, [0, 0]], value);
}

/**
 * The zeros that TensorFlow's "same" puts before and after each axis: as many as give ceil(size / stride) places, the larger half
 * after. Weights that were trained there need them; PyTorch's padding puts as many before.
 */
export function padSame(x: tf.Tensor, kernel: number, stride: number): tf.Tensor4D {
  const around = ([1, 2] as const).map((axis): [number, number] => {
    const size = x.shape[axis]!;
    const total = Math.max((Math.ceil(size / stride) - 1) * stride + kernel - size, 0);
    return [total >> 1, total - (total >> 1)];
  });
  if (around.flat().every((each) => each === 0)) return x as tf.Tensor4D;
  return tf.pad4d(x as tf.Tensor4D, [[0, 0], around[0]!, around[1]!, [0, 0]]);
}

/**
 * Kernels that training needs and tf.js' wasm backend lacks, or has in a slow form.
 *
 * Its forward convolution (XNNPACK) is fast, and both gradients of a convolution are convolutions: of the padded and
 * spread gradient with the turned filter (for the input), and of the input with the gradient as a filter, batch and
 * channels exchanged (for the filter). What is left are short loops over the wasm heap.
 *
 * A kernel here deals in TensorInfo: what it makes on the way it must dispose itself, since tf.tidy does not see it.
 */

import * as tf from "@tensorflow/tfjs-core";

import { maxPoolGradient } from "./max-pool.js";

/** What kernels use of the wasm backend. */
interface WasmBackend extends tf.KernelBackend {
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
  /** A view; it dies when the heap grows, so take it after the last allocation. */
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array | Int32Array | Uint8Array;
}

type Shape4D = [number, number, number, number];
type Padding = "valid" | "same" | number | tf.backend_util.ExplicitPadding;
type Run = (kernel: string, inputs: tf.NamedTensorInfoMap, attributes?: object) => tf.TensorInfo;
type StockKernel = (backend: WasmBackend, inputs: tf.NamedTensorInfoMap, attributes: Attributes) => tf.TensorInfo;
type Kernel = (...args: [...Parameters<StockKernel>, stock: StockKernel]) => tf.TensorInfo;

interface Attributes {
  strides: [number, number];
  pad: Padding;
  dilations?: [number, number];
  dataFormat?: "NHWC" | "NCHW";
  dimRoundingMode?: "floor" | "round" | "ceil";
  inputShape: Shape4D;
  filterShape: Shape4D;
  filterSize: [number, number];
  numSegments: number;
  begin: number[];
  size: number[];
  reps: number[];
}

const kernels: Record<string, Kernel> = {
  Conv2DBackpropInput(backend, { dy, filter }, attributes) {
    const geometry = geometryOf(attributes.inputShape, filter!.shape as Shape4D, attributes, false);
    return composed(backend, (run) => {
      const turned = run("fitloop.Turn", { x: filter! });
      const exchanged = run("Transpose", { x: turned }, { perm: [0, 1, 3, 2] });
      const { gradient, pad } = spreadGradient(run, dy!, geometry);
      return run("Conv2D", { x: gradient, filter: exchanged }, { ...plain, pad });
    });
  },

  Conv2DBackpropFilter(backend, { x, dy }, attributes) {
    const geometry = geometryOf(x!.shape as Shape4D, attributes.filterShape, attributes, false);
    const { batchSize, inChannels, outChannels, outHeight, outWidth, filterHeight, filterWidth } = geometry;
    return composed(backend, (run) => {
      const { input, pad } = usedInput(run, x!, geometry);
      const [, height, width] = input.shape as Shape4D;
      const images = exchangeEnds(run, input, [inChannels, height, width, batchSize]);
      const filter = imagesToChannels(run, dy!, [outHeight, outWidth, batchSize, outChannels]);
      const dilations = [geometry.strideHeight, geometry.strideWidth];
      const product = run("Conv2D", { x: images, filter }, { ...plain, pad, dilations });
      const flat = run("Reshape", { x: product }, { shape: [inChannels, filterHeight * filterWidth, outChannels] });
      const ordered = run("Transpose", { x: flat }, { perm: [1, 0, 2] });
      return run("Reshape", { x: ordered }, { shape: attributes.filterShape });
    });
  },

  DepthwiseConv2dNativeBackpropInput(backend, { dy, filter }, attributes) {
    const geometry = geometryOf(attributes.inputShape, filter!.shape as Shape4D, attributes, true);
    const { filterHeight, filterWidth, inChannels, outChannels, inHeight, inWidth, batchSize } = geometry;
    const multiplier = outChannels / inChannels;
    return composed(backend, (run) => {
      const turned = run("fitloop.Turn", { x: filter! });
      const single = run("Reshape", { x: turned }, { shape: [filterHeight, filterWidth, outChannels, 1] });
      const { gradient, pad } = spreadGradient(run, dy!, geometry);
      const product = run("DepthwiseConv2dNative", { x: gradient, filter: single }, { ...plain, pad });
      if (multiplier === 1) return product;
      const shape = [batchSize, inHeight, inWidth, inChannels, multiplier];
      const split = run("Reshape", { x: product }, { shape });
      return run("Sum", { x: split }, { axis: [4], keepDims: false });
    });
  },

  // Every channel of every image is a channel of one image; the sum over images comes last.
  DepthwiseConv2dNativeBackpropFilter(backend, { x, dy }, attributes) {
    const geometry = geometryOf(x!.shape as Shape4D, attributes.filterShape, attributes, true);
    const { batchSize, inChannels, outChannels, outHeight, outWidth, filterHeight, filterWidth } = geometry;
    const channels = batchSize * inChannels;
    return composed(backend, (run) => {
      const { input, pad } = usedInput(run, x!, geometry);
      const [, height, width] = input.shape as Shape4D;
      const image = imagesToChannels(run, input, [1, height, width, channels]);
      const filter = imagesToChannels(run, dy!, [outHeight, outWidth, channels, outChannels / inChannels]);
      const dilations = [geometry.strideHeight, geometry.strideWidth];
      const product = run("DepthwiseConv2dNative", { x: image, filter }, { ...plain, pad, dilations });
      const taps = run("Reshape", { x: product }, { shape: [filterHeight * filterWidth, batchSize, outChannels] });
      const sum = run("Sum", { x: taps }, { axis: [1], keepDims: false });
      return run("Reshape", { x: sum }, { shape: attributes.filterShape });
    });
  },

  // [batch, height, width, channels], stride - 1 pixels of zeros between its own.
  "fitloop.Spread": (backend, { x }, { strides: [strideHeight, strideWidth] }) => {
    const [batch, height, width, channels] = x!.shape as Shape4D;
    const [wide, high] = [(width - 1) * strideWidth + 1, (height - 1) * strideHeight + 1];
    const out = backend.makeOutput([batch, high, wide, channels], "float32");
    const [from, to] = [floats(backend, x!), floats(backend, out)];
    to.fill(0);
    for (let row = 0, at = 0; row < batch * height; row++) {
      const start = (Math.floor(row / height) * high + (row % height) * strideHeight) * wide * channels;
      for (let column = 0; column < width; column++, at += channels) {
        to.set(from.subarray(at, at + channels), start + column * strideWidth * channels);
      }
    }
    return out;
  },

  // A filter's taps in reverse order. The stock Reverse goes number by number.
  "fitloop.Turn": (backend, { x }) => {
    const [height, width, ...channels] = x!.shape as Shape4D;
    const out = backend.makeOutput(x!.shape, "float32");
    const [from, to] = [floats(backend, x!), floats(backend, out)];
    const run = tf.util.sizeFromShape(channels);
    for (let at = 0, end = height * width * run; at < end; at += run) {
      to.set(from.subarray(at, at + run), end - at - run);
    }
    return out;
  },

  // What spreads a mean's gradient over its pixels. The stock kernel computes every index of every number.
  Tile(backend, { x }, attributes, stock) {
    if (x!.dtype === "string") return stock(backend, { x }, attributes);
    const out = backend.makeOutput(
      x!.shape.map((size, axis) => size * attributes.reps[axis]!),
      x!.dtype,
    );
    tile(backend.typedArrayFromHeap(x!), x!.shape, backend.typedArrayFromHeap(out), attributes.reps);
    return out;
  },

  // The gradient of padding, and cropping. The stock kernel copies the whole tensor out of the heap first.
  Slice(backend, { x }, attributes, stock) {
    if (x!.dtype === "string") return stock(backend, { x }, attributes);
    const [begin, size] = tf.slice_util.parseSliceParams(x!, attributes.begin, attributes.size) as [number[], number[]];
    const out = backend.makeOutput(size, x!.dtype);
    copyBox(backend.typedArrayFromHeap(x!), x!.shape, begin, backend.typedArrayFromHeap(out), size);
    return out;
  },

  // The stock kernel looks for a number above the smallest positive one: where a window has none, it picks a wrong place.
  MaxPoolGrad(backend, { dy, input }, { filterSize, strides, pad, dimRoundingMode }) {
    const shape = input!.shape as Shape4D;
    const geometry = tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad as "valid", dimRoundingMode);
    const out = backend.makeOutput(shape, "float32");
    floats(backend, out).set(maxPoolGradient(floats(backend, input!), floats(backend, dy!), geometry));
    return out;
  },

  // The gradient of gather.
  UnsortedSegmentSum(backend, { x, segmentIds }, { numSegments }) {
    const rank = segmentIds!.shape.length;
    const row = x!.shape.slice(rank);
    const out = backend.makeOutput([numSegments, ...row], x!.dtype);
    const [from, ids, to] = [x!, segmentIds!, out].map((tensor) => backend.typedArrayFromHeap(tensor));
    const length = tf.util.sizeFromShape(row);
    to!.fill(0);
    for (const [index, id] of ids!.entries()) {
      if (id < 0 || id >= numSegments) continue;
      for (let i = 0; i < length; i++) to![id * length + i]! += from![index * length + i]!;
    }
    return out;
  },
};

/** Registers the kernels for the wasm backend, in place of its own where it has one. */
export function registerWasmKernels(): void {
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    const stock = tf.getKernel(kernelName, "wasm");
    if (stock) tf.unregisterKernel(kernelName, "wasm");
    const callStock: StockKernel = (backend, inputs, attributes) =>
      stock!.kernelFunc({ inputs, backend, attrs: attributes as unknown as tf.NamedAttrMap }) as tf.TensorInfo;
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: ({ inputs, backend, attrs }) =>
        kernel(backend as WasmBackend, inputs, attrs as unknown as Attributes, callStock),
    });
  }
}

const plain = { strides: [1, 1], dilations: [1, 1], dataFormat: "NHWC" };

/** Runs kernels in a row and disposes of every result but the last. */
function composed(backend: WasmBackend, build: (run: Run) => tf.TensorInfo): tf.TensorInfo {
  const made: tf.TensorInfo[] = [];
  let result: tf.TensorInfo | undefined;
  try {
    result = build((name, inputs, attributes = {}) => {
      const kernel = tf.getKernel(name, "wasm")!;
      const attrs = attributes as tf.NamedAttrMap;
      const output = kernel.kernelFunc({ inputs, backend, attrs }) as tf.TensorInfo;
      made.push(output);
      return output;
    });
    return result;
  } finally {
    for (const tensor of made) if (tensor !== result) backend.disposeData(tensor.dataId);
  }
}

function geometryOf(
  inputShape: Shape4D,
  filterShape: Shape4D,
  { strides, pad, dilations = [1, 1], dataFormat = "NHWC", dimRoundingMode }: Attributes,
  depthwise: boolean,
): tf.backend_util.Conv2DInfo {
  if (dataFormat !== "NHWC") throw new Error(`The wasm backend trains NHWC only, not ${dataFormat}.`);
  if (dilations.some((dilation) => dilation !== 1)) {
    throw new Error(`The wasm backend has no gradient of a dilated convolution (dilations ${dilations}).`);
  }
  return tf.backend_util.computeConv2DInfo(
    inputShape,
    filterShape,
    strides,
    1,
    pad as "valid",
    dimRoundingMode,
    depthwise,
  );
}

/** The gradient with stride - 1 zeros between its pixels, and the padding with which it meets every tap. */
function spreadGradient(
  run: Run,
  dy: tf.TensorInfo,
  geometry: tf.backend_util.Conv2DInfo,
): { gradient: tf.TensorInfo; pad: Padding } {
  const { strideHeight, strideWidth, filterHeight, filterWidth, inHeight, inWidth, outHeight, outWidth } = geometry;
  const { top, left } = geometry.padInfo;
  const pad: Padding = [
    [0, 0],
    [filterHeight - 1 - top, inHeight + top - (outHeight - 1) * strideHeight - 1],
    [filterWidth - 1 - left, inWidth + left - (outWidth - 1) * strideWidth - 1],
    [0, 0],
  ];
  if (strideHeight === 1 && strideWidth === 1) return { gradient: dy, pad };
  return { gradient: run("fitloop.Spread", { x: dy }, { strides: [strideHeight, strideWidth] }), pad };
}

/** The part of the input that some tap of the filter reads, and the padding around it. */
function usedInput(
  run: Run,
  x: tf.TensorInfo,
  geometry: tf.backend_util.Conv2DInfo,
): { input: tf.TensorInfo; pad: Padding } {
  const { batchSize, inHeight, inWidth, inChannels, padInfo } = geometry;
  const bottom = (geometry.outHeight - 1) * geometry.strideHeight + geometry.filterHeight - inHeight - padInfo.top;
  const right = (geometry.outWidth - 1) * geometry.strideWidth + geometry.filterWidth - inWidth - padInfo.left;
  const pad: Padding = [
    [0, 0],
    [padInfo.top, Math.max(0, bottom)],
    [padInfo.left, Math.max(0, right)],
    [0, 0],
  ];
  if (bottom >= 0 && right >= 0) return { input: x, pad };
  const size = [batchSize, inHeight + Math.min(0, bottom), inWidth + Math.min(0, right), inChannels];
  return { input: run("Slice", { x }, { begin: [0, 0, 0, 0], size }), pad };
}

/** [batch, height, width, channels] -> [height, width, batch, channels], in the shape asked for. */
function imagesToChannels(run: Run, x: tf.TensorInfo, shape: Shape4D): tf.TensorInfo {
  const [batch, height, width, channels] = x.shape as Shape4D;
  const flat = run("Reshape", { x }, { shape: [batch, height * width, channels] });
  return run("Reshape", { x: run("Transpose", { x: flat }, { perm: [1, 0, 2] }) }, { shape });
}

/** [a, height, width, b] -> [b, height, width, a], through three dimensions: the wasm transpose is faster so. */
function exchangeEnds(run: Run, x: tf.TensorInfo, shape: Shape4D): tf.TensorInfo {
  const [first, height, width, last] = shape;
  const flat = run("Reshape", { x }, { shape: [last, height * width, first] });
  return run("Reshape", { x: run("Transpose", { x: flat }, { perm: [2, 1, 0] }) }, { shape });
}

type Numbers = Float32Array | Int32Array | Uint8Array;

/** Copies a box out of a tensor, in the longest runs that lie together in both. */
function copyBox(
  from: Numbers,
  shape: readonly number[],
  begin: readonly number[],
  to: Numbers,
  size: readonly number[],
) {
  if (to.length === 0) return;
  let outer = shape.length;
  let run = 1;
  // A dimension taken whole joins the run of the next one outwards.
  while (outer > 0) {
    outer--;
    run *= size[outer]!;
    if (size[outer] !== shape[outer]) break;
  }
  const strides = tf.util.computeStrides([...shape, 1]);
  const offset = begin.reduce((sum, start, axis) => sum + start * strides[axis]!, 0);
  const index = new Array<number>(outer).fill(0);
  for (let written = 0; written < to.length; written += run) {
    const start = index.reduce((sum, position, axis) => sum + position * strides[axis]!, offset);
    to.set(from.subarray(start, start + run), written);
    for (let axis = outer - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < size[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** Repeats along each axis, from the innermost outwards, doubling what is written already. */
function tile(from: Numbers, shape: readonly number[], to: Numbers, reps: readonly number[]): void {
  let read = 0;
  /** Writes the next block of the input, from `axis` on, at `start`; returns where it ends. */
  const write = (axis: number, start: number): number => {
    let end = start;
    if (reps.slice(axis + 1).every((count) => count === 1)) {
      const length = tf.util.sizeFromShape(shape.slice(axis));
      to.set(from.subarray(read, read + length), start);
      read += length;
      end += length;
    } else {
      for (let i = 0; i < shape[axis]!; i++) end = write(axis + 1, end);
    }
    const length = end - start;
    const total = length * (reps[axis] ?? 1);
    for (let done = length; done < total; done *= 2) {
      to.copyWithin(start + done, start, start + Math.min(done, total - done));
    }
    return start + total;
  };
  if (to.length > 0) write(0, 0);
}

function floats(backend: WasmBackend, tensor: tf.TensorInfo): Float32Array {
  return backend.typedArrayFromHeap(tensor) as Float32Array;
}

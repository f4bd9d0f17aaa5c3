/**
 * LiteRT (.tflite): NHWC, filters [out, height, width, in]. The batch is 1: LiteRT.js takes no other, and Python's interpreter
 * resizes such a model all the same.
 */
import { TrainerError } from "../../core/errors.js";
import { type Constant, type Graph, type Node, type Pads, shapeOf } from "../../core/trace/graph.js";
import { quantizeWeights } from "../quantize.js";
import { toFloat16 } from "./float16.js";
import { type Description, ordered, type Precision } from "./format.js";
import { type Model, type OperatorName, pack } from "./litert-file.js";
import { attachedFiles, withAttachedFiles } from "./litert-metadata.js";
import { createWriter, type Writer, whole } from "./litert-writer.js";
import { inPieces, type Pieces } from "./pieces.js";

/** Weights of fewer numbers stay float32 in "int8-dynamic", and float32 in "float16". */
const worthQuantizing = 1024;
const worthHalving = 64;

/** schema.fbs: Padding. */
const padding = { same: 0, valid: 1 } as const;
/** schema.fbs: ActivationFunctionType. */
const activations = { none: 0, relu: 1, relu6: 3 } as const;

/** The file. @throws TrainerError ERR_EXPORT for a graph that LiteRT cannot hold */
export function litert(graph: Graph, precision: Precision, description: Description): Pieces {
  const model = pack(lower(graph, precision, description), description);
  return inPieces(withAttachedFiles(model, attachedFiles(description)));
}

/** The graph's operations as LiteRT's, in its order. */
function lower(graph: Graph, precision: Precision, { input, output, size, classes }: Description): Model {
  const writer = createWriter(graph, precision);
  const { tensors, buffers, operators } = writer;
  const first = lowerInput(graph.input, [-1, size, size, 3], input, writer);
  for (const node of graph.nodes) {
    writer.enter(node.out);
    (lowerings[node.op] as Lowering<Node>)(node, writer);
  }
  writer.leave(); // the answers are floats, and a softmax in int8 would have steps of 1/256
  const logits = writer.at(graph.output);
  if (output === "logits") return { tensors, buffers, operators, input: first, output: logits };
  const result = writer.value("probabilities", [-1, classes.length]);
  writer.push("SOFTMAX", { float: 1 }, [logits], [result], { 0: { float: 1 } });
  return { tensors, buffers, operators, input: first, output: result };
}

/** The image as the model sees it: float32, or uint8, whose int8 twin is exact. @returns its tensor */
function lowerInput(name: string, shape: readonly number[], type: Description["input"], writer: Writer): number {
  const { values, places, tensor, push } = writer;
  if (values) {
    const parameters = values.get(name)!;
    const quantization = { scales: [parameters.scale], zeros: [parameters.zero + 128], axis: 0 };
    const first = tensor(name, shape, type, type === "uint8" ? { quantization } : {});
    const inner = tensor(`${name}/int8`, shape, "int8", { quantization: whole(parameters) });
    push("QUANTIZE", { float: type === "uint8" ? 2 : 1 }, [first], [inner]);
    places.set(name, inner);
    return first;
  }
  if (type === "float32") return writer.value(name, shape);
  const first = tensor(name, shape, "uint8", { quantization: { scales: [1], zeros: [0], axis: 0 } });
  const inner = tensor(`${name}/float`, shape, "float32");
  push("DEQUANTIZE", { float: 1 }, [first], [inner]);
  places.set(name, inner);
  return first;
}

/** Writes one operation of the graph. @throws TrainerError ERR_EXPORT for one that LiteRT cannot hold */
type Lowering<N extends Node> = (node: N, writer: Writer) => void;

const activationOf = ({ activation }: Node) => ({ byte: activations[activation] });

const versions = { float: 1, int8: 2 } as const; // of most operators

const convolution: Lowering<Extract<Node, { op: "conv" | "depthwise" }>> = (node, writer) => {
  const depthwise = node.op === "depthwise";
  const { x, padding } = padded(writer, node, node.weight.shape, node.stride);
  const { inputs, hybrid } = weightsOf(writer, node, depthwise);
  const places = { 0: { byte: padding }, 1: { int: node.stride }, 2: { int: node.stride } };
  if (depthwise) {
    const options = { ...places, 3: { int: 1 }, 4: activationOf(node) };
    writer.make(node.out, "DEPTHWISE_CONV_2D", { float: hybrid ? 6 : 1, int8: 3 }, [x, ...inputs], options);
  } else {
    const options = { ...places, 3: activationOf(node) };
    writer.make(node.out, "CONV_2D", { float: hybrid ? 5 : 1, int8: 3 }, [x, ...inputs], options);
  }
};

const unary =
  (name: OperatorName, options?: { 0: { byte: number } }): Lowering<Extract<Node, { x: string }>> =>
  ({ out, x }, writer) =>
    writer.make(out, name, versions, [writer.at(x)], options);

const lowerings: { readonly [N in Node as N["op"]]: Lowering<N> } = {
  conv: convolution,
  depthwise: convolution,
  /** A depthwise convolution of one pixel: LiteRT has no other operation per channel in int8. */
  affine(node, writer) {
    const { out, x, scale, shift } = node;
    if (shapeOf(writer.graph, out).length !== 4) throw unsupported(out, "scales the channels of a vector");
    const weight = { shape: [1, 1, scale.length, 1], data: Float32Array.from(scale) };
    const { inputs } = weightsOf(writer, { out, x, weight, bias: shift }, true);
    const places = { 0: { byte: padding.valid }, 1: { int: 1 }, 2: { int: 1 }, 3: { int: 1 } };
    const options = { ...places, 4: activationOf(node) };
    writer.make(out, "DEPTHWISE_CONV_2D", { float: 1, int8: 3 }, [writer.at(x), ...inputs], options);
  },
  dense(node, writer) {
    const { inputs, hybrid } = weightsOf(writer, node, false);
    const version = { float: hybrid ? 12 : 1, int8: 4 };
    writer.make(node.out, "FULLY_CONNECTED", version, [writer.at(node.x), ...inputs], { 0: activationOf(node) });
  },
  add(node, writer) {
    writer.make(node.out, "ADD", versions, [writer.at(node.a), writer.at(node.b)], { 0: activationOf(node) });
  },
  mul(node, writer) {
    const { values, at } = writer;
    const scaleOf = (name: string): number => values?.get(name)?.scale ?? 0;
    const grows = values && (scaleOf(node.a) * scaleOf(node.b)) / scaleOf(node.out) >= 1;
    const version = { float: 1, int8: grows ? 3 : 2 };
    writer.make(node.out, "MUL", version, [at(node.a), at(node.b)], { 0: activationOf(node) });
  },
  mean({ out, x, keepDims }, writer) {
    const axes = writer.tensor(`${out}/axes`, [2], "int32", { data: Int32Array.of(1, 2) });
    writer.make(out, "MEAN", versions, [writer.at(x), axes], { 0: { byte: Number(keepDims) } });
  },
  /** A PAD adds zeros, which never win only where nothing is below zero. */
  "max-pool"(node, writer) {
    const { graph } = writer;
    const { out, size, strides, pads } = node;
    const same = isSame(shapeOf(graph, node.x), shapeOf(graph, out), size, strides[0], pads);
    if (pads.some((each) => each > 0) && !same && !isNonNegative(graph, node.x)) {
      throw unsupported(out, "pads a max pool of numbers below zero");
    }
    const { x, padding } = padded(writer, node, size, strides[0]);
    const options = {
      0: { byte: padding },
      1: { int: strides[1] },
      2: { int: strides[0] },
      3: { int: size[1] },
      4: { int: size[0] },
    };
    writer.make(out, "MAX_POOL_2D", versions, [x], options);
  },
  reshape({ out, x }, writer) {
    const shape = shapeOf(writer.graph, out);
    const to = writer.tensor(`${out}/shape`, [shape.length], "int32", { data: Int32Array.from(shape) });
    writer.make(out, "RESHAPE", { float: 1 }, [writer.at(x), to], {}, shape);
  },
  relu: unary("RELU"),
  relu6: unary("RELU6"),
  sigmoid: unary("LOGISTIC"),
  gelu: unary("GELU", { 0: { byte: 0 } }),
  erf({ out }) {
    throw unsupported(out, "is an error function outside a GELU");
  },
};

const isNonNegative = ({ nodes }: Graph, value: string): boolean =>
  nodes.some(({ out, op, activation }) => out === value && (activation !== "none" || op === "relu" || op === "relu6"));

const unsupported = (name: string, what: string): TrainerError =>
  new TrainerError(
    "ERR_EXPORT",
    `LiteRT cannot hold this model: "${name}" ${what}. Export to onnx, tfjs or savedmodel.`,
  );

interface Weighted {
  readonly out: string;
  readonly x: string;
  readonly weight: Constant;
  readonly bias: Float64Array;
}

/** Tensors of the weights and the bias; `hybrid` where int8 weights meet float32 values. */
function weightsOf(
  writer: Writer,
  { out, x, weight, bias }: Weighted,
  depthwise: boolean,
): { inputs: number[]; hybrid: boolean } {
  const { precision, values, tensor } = writer;
  const { shape, order } = outputFirst(weight, depthwise);
  const count = weight.data.length;
  const hybrid = precision.kind === "int8-dynamic" && count >= worthQuantizing;
  const plainBias = (): number => tensor(`${out}/bias`, [bias.length], "float32", { data: Float32Array.from(bias) });
  if (!values && !hybrid) {
    const data = (): Float32Array => ordered(weight.data, new Float32Array(count), order);
    return { inputs: [floats(writer, `${out}/weight`, shape, count, data), plainBias()], hybrid };
  }
  const inputScale = values ? values.get(x)!.scale : 1e3; // a bias in float limits no scale
  const { data, scales, bias: stored } = quantizeWeights(weight, bias, inputScale);
  const zeros = new Array<number>(scales.length).fill(0);
  const kernel = tensor(`${out}/weight`, shape, "int8", {
    data: () => ordered(data(), new Int8Array(count), order),
    quantization: { scales, zeros, axis: depthwise ? 3 : 0 },
  });
  if (!values) return { inputs: [kernel, plainBias()], hybrid };
  const quantization = { scales: scales.map((each) => each * inputScale), zeros, axis: 0 };
  return {
    inputs: [kernel, tensor(`${out}/bias`, [bias.length], "int32", { data: stored, quantization })],
    hybrid,
  };
}

/** A tensor of float32, stored in float16 where the precision says so. */
function floats(
  writer: Writer,
  name: string,
  shape: readonly number[],
  size: number,
  data: () => Float32Array,
): number {
  const { precision, tensor, push } = writer;
  if (precision.kind !== "float16" || size < worthHalving) return tensor(name, shape, "float32", { data });
  const half = tensor(`${name}/half`, shape, "float16", { data: () => toFloat16(data()) });
  const single = tensor(name, shape, "float32");
  push("DEQUANTIZE", { float: 3 }, [half], [single]);
  return single;
}

type Padded = { readonly out: string; readonly x: string; readonly pads: Pads };

/** The runtime pads "same" or not at all; what neither means is a PAD before. */
function padded(
  writer: Writer,
  node: Padded,
  kernel: readonly number[],
  stride: number,
): { x: number; padding: number } {
  const { graph, tensor, at } = writer;
  const [top, left, bottom, right] = node.pads;
  if (top + left + bottom + right === 0) return { x: at(node.x), padding: padding.valid };
  if (isSame(shapeOf(graph, node.x), shapeOf(graph, node.out), kernel, stride, node.pads)) {
    return { x: at(node.x), padding: padding.same };
  }
  const [, height, width, channels] = shapeOf(graph, node.x) as [number, number, number, number];
  const name = `${node.out}/padded`;
  const before = tensor(`${name}/paddings`, [4, 2], "int32", {
    data: Int32Array.of(0, 0, top, bottom, left, right, 0, 0),
  });
  const shape = [-1, height + top + bottom, width + left + right, channels];
  const made = writer.value(name, shape, writer.values?.get(node.x));
  writer.push("PAD", { float: 1, int8: 2 }, [at(node.x), before], [made]);
  return { x: made, padding: padding.valid };
}

/** TensorFlow's "same" puts the larger half behind. */
function isSame(
  [, height, width]: readonly number[],
  [, rows, columns]: readonly number[],
  [kernelHeight, kernelWidth]: readonly number[],
  stride: number,
  [top, left, bottom, right]: Pads,
): boolean {
  if (rows !== Math.ceil(height! / stride) || columns !== Math.ceil(width! / stride)) return false;
  const down = Math.max((rows! - 1) * stride + kernelHeight! - height!, 0);
  const across = Math.max((columns! - 1) * stride + kernelWidth! - width!, 0);
  return top === down >> 1 && bottom === down - (down >> 1) && left === across >> 1 && right === across - (across >> 1);
}

/** [out, height, width, in], [1, height, width, channels] or [out, in]. */
function outputFirst({ shape }: Constant, depthwise: boolean): { shape: number[]; order: (at: number) => number } {
  const last = shape.at(-1)!;
  if (depthwise) return { shape: [1, shape[0]!, shape[1]!, shape[2]!], order: (at) => at };
  const inner = shape.slice(0, -1).reduce((product, each) => product * each, 1);
  return { shape: [last, ...shape.slice(0, -1)], order: (at) => (at % inner) * last + Math.floor(at / inner) };
}

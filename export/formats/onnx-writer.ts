/** What ONNX's lowerings write: nodes and constants, in float, with half the bits, or through integers. */
import type { Constant, Graph, Node } from "../../core/trace/graph.js";
import { type Quantized, quantizeWeights } from "../quantize.js";
import { toFloat16 } from "./float16.js";
import { bytesOf, ordered, type Precision } from "./format.js";
import type { Piece } from "./pieces.js";

/** onnx.proto3: TensorProto.DataType. */
export const types = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
export type Type = keyof typeof types;
/** Bytes of a number. */
const sizes = { float: 4, uint8: 1, int8: 1, int32: 4, int64: 8, float16: 2 } as const;

/** From this many numbers on, constants are stored as float16. */
const worthHalving = 64;

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}
export interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: Type;
  readonly data: Piece;
}

/** A node of the graph with a weight and a bias. */
export type Weighted = Extract<Node, { weight: Constant }>;

export interface Writer {
  readonly graph: Graph;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly Initializer[];
  /** The image with channels first, as operations take it. */
  readonly image: string;
  /** What is written from here on makes, or reads, this value of the graph: in integers, if the model is quantized there. */
  enter(value: string): void;
  /** Appends a node. @returns its output `out` */
  add(op: string, inputs: readonly string[], out: string, attributes?: OnnxNode["attributes"]): string;
  /** Stores a constant. @returns its name */
  constant(name: string, dims: readonly number[], type: Type, data: ArrayBufferView): string;
  /** A value of the graph as its users see it: through uint8 where the model is quantized, and its maker or its user is. */
  seen(value: string): string;
  /** An intermediate result as the value of the graph that it becomes: through uint8 where that is quantized. */
  seenAs(value: string, result: string): string;
  /** Stores the weights and the bias of a node. @returns their names, in the order of the operation's inputs */
  weightsOf(node: Weighted): string[];
}

export function createWriter(graph: Graph, precision: Precision): Writer {
  const nodes: OnnxNode[] = [];
  const initializers: Initializer[] = [];
  const { values: all, kept } = precision.kind === "int8" ? precision : {};
  /** Of the operation that is written; undefined where it computes in float32. */
  let values = all;
  const image = `${graph.input}/nchw`;

  const add = (op: string, inputs: readonly string[], out: string, attributes: OnnxNode["attributes"] = {}): string => {
    nodes.push({ op, inputs, output: out, attributes });
    return out;
  };
  const constant = (name: string, dims: readonly number[], type: Type, data: ArrayBufferView): string => {
    initializers.push({ name, dims, type, data: bytesOf(data) });
    return name;
  };
  /** A constant that is as long as a layer's weights: made when it is written. */
  const large = (name: string, dims: readonly number[], type: Type, data: () => ArrayBufferView): string => {
    const length = dims.reduce((product, each) => product * each, sizes[type]);
    initializers.push({ name, dims, type, data: { length, bytes: () => bytesOf(data()) } });
    return name;
  };
  const floats = (name: string, dims: readonly number[], size: number, data: () => Float32Array): string => {
    if (precision.kind !== "float16" || size < worthHalving) return large(name, dims, "float", data);
    large(`${name}/half`, dims, "float16", () => toFloat16(data()));
    return add("Cast", [`${name}/half`], name, { to: types.float });
  };

  /** Many layers have the same zero points: each is stored once. */
  const zeros = new Map<string, string>();
  const zero = (type: "uint8" | "int8", dims: readonly number[], value: number): string => {
    const key = [type, value, ...dims].join("/");
    const known = zeros.get(key);
    if (known !== undefined) return known;
    const size = dims.reduce((product, each) => product * each, 1);
    zeros.set(key, constant(`zero/${key}`, dims, type, new Uint8Array(size).fill(value)));
    return `zero/${key}`;
  };

  const dequantized = new Map<string, string>();
  const throughUint8 = (value: string, parameters: Quantized): string => {
    const known = dequantized.get(value);
    if (known !== undefined) return known;
    const pair = [
      constant(`${value}/scale`, [], "float", Float32Array.of(parameters.scale)),
      zero("uint8", [], parameters.zero + 128),
    ];
    add("QuantizeLinear", [value, ...pair], `${value}/quantized`);
    const made = add("DequantizeLinear", [`${value}/quantized`, ...pair], `${value}/dequantized`);
    dequantized.set(value, made);
    return made;
  };

  const weightsOf = (node: Weighted): string[] => {
    const { weight, bias, out, x } = node;
    const { dims, order } = outputFirst(weight, node.op === "depthwise");
    const size = weight.data.length;
    if (!values && precision.kind !== "int8-dynamic") {
      return [
        floats(`${out}/weight`, dims, size, () => ordered(weight.data, new Float32Array(size), order)),
        constant(`${out}/bias`, [bias.length], "float", Float32Array.from(bias)),
      ];
    }
    const inputScale = values ? values.get(x)!.scale : 1e3; // a bias in float limits no scale
    const { data, scales, bias: whole } = quantizeWeights(weight, bias, inputScale);
    const stored = [
      large(`${out}/weight/quantized`, dims, "int8", () => ordered(data(), new Int8Array(size), order)),
      constant(`${out}/weight/scale`, [scales.length], "float", scales),
      zero("int8", [scales.length], 0), // without it, ONNX Runtime does not fuse the last product
    ];
    const kernel = add("DequantizeLinear", stored, `${out}/weight`, { axis: 0 });
    if (!values) return [kernel, constant(`${out}/bias`, [bias.length], "float", Float32Array.from(bias))];
    const storedBias = [
      constant(`${out}/bias/quantized`, [bias.length], "int32", whole),
      constant(
        `${out}/bias/scale`,
        [bias.length],
        "float",
        scales.map((each) => each * inputScale),
      ),
    ];
    return [kernel, add("DequantizeLinear", storedBias, `${out}/bias`, { axis: 0 })];
  };

  return {
    graph,
    nodes,
    initializers,
    image,
    enter(value) {
      values = kept?.has(value) ? undefined : all;
    },
    add,
    constant,
    seen(value) {
      const name = value === graph.input ? image : value;
      return all && (values || !kept?.has(value)) ? throughUint8(name, all.get(value)!) : name;
    },
    seenAs: (value, result) => (values ? throughUint8(result, values.get(value)!) : result),
    weightsOf,
  };
}

/** PyTorch's layout: [out, in, height, width] of [height, width, in, out], [out, in] of [in, out]. */
function outputFirst({ shape }: Constant, depthwise: boolean): { dims: number[]; order: (at: number) => number } {
  if (shape.length === 2) {
    const [input, out] = shape as [number, number];
    return { dims: [out, input], order: (at) => (at % input) * out + Math.floor(at / input) };
  }
  const [height, width, input, last] = shape as [number, number, number, number];
  const area = height * width;
  if (depthwise) {
    return { dims: [input, 1, height, width], order: (at) => (at % area) * input + Math.floor(at / area) };
  }
  return {
    dims: [last, input, height, width],
    order(at) {
      const channel = Math.floor(at / area) % input;
      return ((at % area) * input + channel) * last + Math.floor(at / (area * input));
    },
  };
}

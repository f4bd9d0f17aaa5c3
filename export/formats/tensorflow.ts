/** A graph as nodes of TensorFlow, for a tf.js graph model (JSON) and for a SavedModel (protobuf). */
import { type Graph, type Node, type Pads, shapeOf } from "../../core/trace/graph.js";
import { lowest } from "../../core/trace/interpret.js";
import type { Description } from "./format.js";

/** An attribute by its kind, as AttrValue has them. */
export type Attribute =
  | { readonly type: DataType }
  | { readonly text: string }
  | { readonly int: number }
  | { readonly flag: boolean }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly texts: readonly string[] }
  | { readonly shape: readonly number[] }
  | { readonly constant: TensorConstant };

/** types.proto. */
export const dataTypes = { float32: 1, int32: 3, uint8: 4 } as const;
export type DataType = keyof typeof dataTypes;

export interface TensorConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: "float32" | "int32";
  readonly data: Float32Array | Int32Array;
}

export interface TensorflowNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface TensorflowGraph {
  readonly nodes: readonly TensorflowNode[];
  readonly constants: readonly TensorConstant[];
  readonly output: string;
}

const operationOf = { relu: "Relu", relu6: "Relu6", sigmoid: "Sigmoid", erf: "Erf" } as const;

/** @param fused convolution, bias and ReLU as one operation: what tf.js' own converter writes, and a sixth faster there */
export function lowerToTensorflow(
  graph: Graph,
  { output, input }: Description,
  { fused }: { fused: boolean },
): TensorflowGraph {
  const writer = createWriter(graph, fused);
  const { nodes, constants, push, add } = writer;
  const shape = { shape: shapeOf(graph, graph.input) };
  if (input === "uint8") {
    push("image_bytes", "Placeholder", [], { dtype: { type: "uint8" }, shape });
    push(graph.input, "Cast", ["image_bytes"], { SrcT: { type: "uint8" }, DstT: { type: "float32" } });
  } else {
    push(graph.input, "Placeholder", [], { dtype: { type: "float32" }, shape });
  }
  for (const node of graph.nodes) (lowerings[node.op] as Lowering<Node>)(node, writer);
  const last = output === "probabilities" ? add("probabilities", "Softmax", [graph.output]) : graph.output;
  return { nodes, constants, output: last };
}

type Attributes = TensorflowNode["attributes"];

interface Writer {
  readonly graph: Graph;
  readonly nodes: readonly TensorflowNode[];
  readonly constants: readonly TensorConstant[];
  /** Appends a node. @returns its name */
  push(name: string, op: string, inputs: readonly string[], attributes: Attributes): string;
  /** Appends a node of float32. @returns its name */
  add(name: string, op: string, inputs: readonly string[], attributes?: Attributes): string;
  /** Appends the operation that makes a node's value, and its activation. */
  make(node: Node, op: string, inputs: readonly string[], attributes?: Attributes): void;
  /** As `make`, for a convolution or product with its bias; as one operation, called `joint`, where these are fused. */
  makeBiased(
    node: Node,
    op: { readonly plain: string; readonly joint: string },
    inputs: readonly string[],
    bias: string,
    attributes: Attributes,
  ): void;
  constant(name: string, shape: readonly number[], data: Float32Array | Int32Array): string;
  vector(name: string, data: Float64Array): string;
  scalar(name: string, value: number): string;
  /** The paddings of a Pad. */
  paddings(name: string, pads: Pads): string;
}

function createWriter(graph: Graph, fused: boolean): Writer {
  const nodes: TensorflowNode[] = [];
  const constants: TensorConstant[] = [];
  const push: Writer["push"] = (name, op, inputs, attributes) => {
    nodes.push({ name, op, inputs, attributes });
    return name;
  };
  const add: Writer["add"] = (name, op, inputs, attributes = {}) =>
    push(name, op, inputs, { T: { type: "float32" }, ...attributes });
  const make: Writer["make"] = ({ out, activation }, op, inputs, attributes) => {
    const linear = activation === "none" ? out : `${out}/linear`;
    add(linear, op, inputs, attributes);
    if (activation !== "none") add(out, operationOf[activation], [linear]);
  };
  const constant: Writer["constant"] = (name, shape, data) => {
    const type = data instanceof Int32Array ? "int32" : "float32";
    const made = { name, shape, type, data } as const;
    constants.push(made);
    return push(name, "Const", [], { dtype: { type }, value: { constant: made } });
  };
  return {
    graph,
    nodes,
    constants,
    push,
    add,
    make,
    makeBiased(node, { plain, joint }, inputs, bias, attributes) {
      const { out, activation } = node;
      if (!fused) {
        const product = add(`${out}/product`, plain, inputs, attributes);
        make(node, "BiasAdd", [product, bias], { data_format: { text: "NHWC" } });
        return;
      }
      const operations = activation === "none" ? ["BiasAdd"] : ["BiasAdd", operationOf[activation]];
      add(out, joint, [...inputs, bias], {
        ...attributes,
        num_args: { int: 1 },
        epsilon: { float: 0 },
        leakyrelu_alpha: { float: 0.2 },
        fused_ops: { texts: operations },
      });
    },
    constant,
    vector: (name, data) => constant(name, [data.length], Float32Array.from(data)),
    scalar: (name, value) => constant(name, [], Float32Array.of(value)),
    paddings: (name, [top, left, bottom, right]) =>
      constant(name, [4, 2], Int32Array.of(0, 0, top, bottom, left, right, 0, 0)),
  };
}

/** Writes one operation of the graph, with its activation. */
type Lowering<N extends Node> = (node: N, writer: Writer) => void;

const convolution: Lowering<Extract<Node, { op: "conv" | "depthwise" }>> = (node, writer) => {
  const { add, constant, vector, paddings } = writer;
  const { op, out, weight, stride } = node;
  const pads = convolutionPadding(node.pads, weight.shape, stride, op === "depthwise");
  const x = pads
    ? node.x
    : add(`${out}/padded`, "Pad", [node.x, paddings(`${out}/paddings`, node.pads)], { Tpaddings: { type: "int32" } });
  const inputs = [x, constant(`${out}/weight`, weight.shape, weight.data)];
  writer.makeBiased(node, convolutionNames[op], inputs, vector(`${out}/bias`, node.bias), {
    strides: { ints: [1, stride, stride, 1] },
    dilations: { ints: [1, 1, 1, 1] },
    data_format: { text: "NHWC" },
    ...(pads ?? { padding: { text: "VALID" } }),
  });
};

const convolutionNames = {
  conv: { plain: "Conv2D", joint: "_FusedConv2D" },
  depthwise: { plain: "DepthwiseConv2dNative", joint: "FusedDepthwiseConv2dNative" },
} as const;

const unary =
  (op: string): Lowering<Extract<Node, { x: string }>> =>
  (node, { make }) =>
    make(node, op, [node.x]);

const lowerings: { readonly [N in Node as N["op"]]: Lowering<N> } = {
  conv: convolution,
  depthwise: convolution,
  dense(node, { constant, vector, makeBiased }) {
    const { out, x } = node;
    const weight = constant(`${out}/weight`, node.weight.shape, node.weight.data);
    const attributes = { transpose_a: { flag: false }, transpose_b: { flag: false } };
    const names = { plain: "MatMul", joint: "_FusedMatMul" };
    makeBiased(node, names, [x, weight], vector(`${out}/bias`, node.bias), attributes);
  },
  affine(node, { add, make, vector }) {
    const { out, x } = node;
    const scaled = add(`${out}/scaled`, "Mul", [x, vector(`${out}/scale`, node.scale)]);
    make(node, "AddV2", [scaled, vector(`${out}/shift`, node.shift)]);
  },
  add: (node, { make }) => make(node, "AddV2", [node.a, node.b]),
  mul: (node, { make }) => make(node, "Mul", [node.a, node.b]),
  mean(node, { make, constant }) {
    const axes = constant(`${node.out}/axes`, [2], Int32Array.of(1, 2));
    make(node, "Mean", [node.x, axes], { keep_dims: { flag: node.keepDims }, Tidx: { type: "int32" } });
  },
  "max-pool"(node, { add, make, paddings, scalar }) {
    const { out, size, strides, pads } = node;
    const padded = (): string => {
      const inputs = [node.x, paddings(`${out}/paddings`, pads), scalar(`${out}/lowest`, lowest)];
      return add(`${out}/padded`, "PadV2", inputs, { Tpaddings: { type: "int32" } });
    };
    make(node, "MaxPool", [pads.some((each) => each > 0) ? padded() : node.x], {
      ksize: { ints: [1, ...size, 1] },
      strides: { ints: [1, ...strides, 1] },
      padding: { text: "VALID" },
      explicit_paddings: { ints: [] },
      data_format: { text: "NHWC" },
    });
  },
  reshape(node, { graph, make, constant }) {
    const shape = shapeOf(graph, node.out);
    const to = constant(`${node.out}/shape`, [shape.length], Int32Array.from(shape));
    make(node, "Reshape", [node.x, to], { Tshape: { type: "int32" } });
  },
  gelu(node, { add, make, scalar }) {
    const { out, x } = node;
    add(`${out}/scaled`, "Mul", [x, scalar(`${out}/root`, Math.SQRT1_2)]);
    add(`${out}/erf`, "Erf", [`${out}/scaled`]);
    add(`${out}/shifted`, "AddV2", [`${out}/erf`, scalar(`${out}/one`, 1)]);
    add(`${out}/double`, "Mul", [x, `${out}/shifted`]);
    make(node, "Mul", [`${out}/double`, scalar(`${out}/half`, 0.5)]);
  },
  relu: unary(operationOf.relu),
  relu6: unary(operationOf.relu6),
  sigmoid: unary(operationOf.sigmoid),
  erf: unary(operationOf.erf),
};

/** The attributes of a convolution's padding; undefined where it needs a Pad of its own, as depthwise ones do. */
function convolutionPadding(
  pads: Pads,
  [height, width]: readonly number[],
  stride: number,
  depthwise: boolean,
): TensorflowNode["attributes"] | undefined {
  const [top, left, bottom, right] = pads;
  if (pads.every((each) => each === 0)) return { padding: { text: "VALID" } };
  const centred = top === bottom && left === right && 2 * top === height! - 1 && 2 * left === width! - 1;
  if (stride === 1 && centred) return { padding: { text: "SAME" } };
  if (depthwise) return undefined;
  return { padding: { text: "EXPLICIT" }, explicit_paddings: { ints: [0, 0, top, bottom, left, right, 0, 0] } };
}

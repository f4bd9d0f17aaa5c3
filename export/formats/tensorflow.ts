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
  const nodes: TensorflowNode[] = [];
  const constants: TensorConstant[] = [];
  const push = (
    name: string,
    op: string,
    inputs: readonly string[],
    attributes: TensorflowNode["attributes"],
  ): string => {
    nodes.push({ name, op, inputs, attributes });
    return name;
  };
  const add = (
    name: string,
    op: string,
    inputs: readonly string[],
    attributes: TensorflowNode["attributes"] = {},
  ): string => push(name, op, inputs, { T: { type: "float32" }, ...attributes });
  const constant = (name: string, shape: readonly number[], data: Float32Array | Int32Array): string => {
    const type = data instanceof Int32Array ? "int32" : "float32";
    const made = { name, shape, type, data } as const;
    constants.push(made);
    return push(name, "Const", [], { dtype: { type }, value: { constant: made } });
  };
  const vector = (name: string, data: Float64Array): string => constant(name, [data.length], Float32Array.from(data));
  const scalar = (name: string, value: number): string => constant(name, [], Float32Array.of(value));
  const paddings = (name: string, [top, left, bottom, right]: Pads): string =>
    constant(name, [4, 2], Int32Array.of(0, 0, top, bottom, left, right, 0, 0));

  /** A convolution or product with its bias and activation. */
  const weighted = (
    { out, activation }: Node,
    plain: string,
    joint: string,
    inputs: readonly string[],
    bias: string,
    attributes: TensorflowNode["attributes"],
  ): void => {
    if (fused) {
      const operations = activation === "none" ? ["BiasAdd"] : ["BiasAdd", operationOf[activation]];
      add(out, joint, [...inputs, bias], {
        ...attributes,
        num_args: { int: 1 },
        epsilon: { float: 0 },
        leakyrelu_alpha: { float: 0.2 },
        fused_ops: { texts: operations },
      });
      return;
    }
    add(`${out}/product`, plain, inputs, attributes);
    const linear = activation === "none" ? out : `${out}/linear`;
    add(linear, "BiasAdd", [`${out}/product`, bias], { data_format: { text: "NHWC" } });
    if (activation !== "none") add(out, operationOf[activation], [linear]);
  };

  const lowerNode = (node: Node): void => {
    const { out, activation } = node;
    const linear = activation === "none" ? out : `${out}/linear`;
    switch (node.op) {
      case "conv":
      case "depthwise": {
        const depthwise = node.op === "depthwise";
        const pads = convolutionPadding(node.pads, node.weight.shape, node.stride, depthwise);
        const x = pads
          ? node.x
          : add(`${out}/padded`, "Pad", [node.x, paddings(`${out}/paddings`, node.pads)], {
              Tpaddings: { type: "int32" },
            });
        const weight = constant(`${out}/weight`, node.weight.shape, node.weight.data);
        const [plain, joint] = depthwise
          ? ["DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"]
          : ["Conv2D", "_FusedConv2D"];
        weighted(node, plain!, joint!, [x, weight], vector(`${out}/bias`, node.bias), {
          strides: { ints: [1, node.stride, node.stride, 1] },
          dilations: { ints: [1, 1, 1, 1] },
          data_format: { text: "NHWC" },
          ...(pads ?? { padding: { text: "VALID" } }),
        });
        return;
      }
      case "dense": {
        const weight = constant(`${out}/weight`, node.weight.shape, node.weight.data);
        const attributes = { transpose_a: { flag: false }, transpose_b: { flag: false } };
        weighted(node, "MatMul", "_FusedMatMul", [node.x, weight], vector(`${out}/bias`, node.bias), attributes);
        return;
      }
      case "affine":
        add(`${out}/scaled`, "Mul", [node.x, vector(`${out}/scale`, node.scale)]);
        add(linear, "AddV2", [`${out}/scaled`, vector(`${out}/shift`, node.shift)]);
        break;
      case "add":
      case "mul":
        add(linear, node.op === "add" ? "AddV2" : "Mul", [node.a, node.b]);
        break;
      case "mean": {
        const axes = constant(`${out}/axes`, [2], Int32Array.of(1, 2));
        add(linear, "Mean", [node.x, axes], { keep_dims: { flag: node.keepDims }, Tidx: { type: "int32" } });
        break;
      }
      case "max-pool": {
        const pads = node.pads.some((each) => each > 0);
        const inputs = (): string[] => [
          node.x,
          paddings(`${out}/paddings`, node.pads),
          scalar(`${out}/lowest`, lowest),
        ];
        const x = pads ? add(`${out}/padded`, "PadV2", inputs(), { Tpaddings: { type: "int32" } }) : node.x;
        add(linear, "MaxPool", [x], {
          ksize: { ints: [1, ...node.size, 1] },
          strides: { ints: [1, ...node.strides, 1] },
          padding: { text: "VALID" },
          explicit_paddings: { ints: [] },
          data_format: { text: "NHWC" },
        });
        break;
      }
      case "reshape": {
        const shape = shapeOf(graph, out);
        const to = constant(`${out}/shape`, [shape.length], Int32Array.from(shape));
        add(linear, "Reshape", [node.x, to], { Tshape: { type: "int32" } });
        break;
      }
      case "gelu":
        add(`${out}/scaled`, "Mul", [node.x, scalar(`${out}/root`, Math.SQRT1_2)]);
        add(`${out}/erf`, "Erf", [`${out}/scaled`]);
        add(`${out}/shifted`, "AddV2", [`${out}/erf`, scalar(`${out}/one`, 1)]);
        add(`${out}/double`, "Mul", [node.x, `${out}/shifted`]);
        add(linear, "Mul", [`${out}/double`, scalar(`${out}/half`, 0.5)]);
        break;
      case "relu":
      case "relu6":
      case "sigmoid":
      case "erf":
        add(linear, operationOf[node.op], [node.x]);
        break;
    }
    if (activation !== "none") add(out, operationOf[activation], [linear]);
  };

  const shape = { shape: shapeOf(graph, graph.input) };
  if (input === "uint8") {
    push("image_bytes", "Placeholder", [], { dtype: { type: "uint8" }, shape });
    push(graph.input, "Cast", ["image_bytes"], { SrcT: { type: "uint8" }, DstT: { type: "float32" } });
  } else {
    push(graph.input, "Placeholder", [], { dtype: { type: "float32" }, shape });
  }
  graph.nodes.forEach(lowerNode);
  const last = output === "probabilities" ? add("probabilities", "Softmax", [graph.output]) : graph.output;
  return { nodes, constants, output: last };
}

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

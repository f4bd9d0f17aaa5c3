/**
 * ONNX, opset 17. NCHW inside, images [batch, size, size, 3] outside. int8 is written as QuantizeLinear and DequantizeLinear
 * around float operations, with uint8 activations: ONNX Runtime fuses these into integer kernels on x86 and ARM.
 */
import type { PbfWriter } from "pbf";
import { TrainerError } from "../../core/errors.js";
import { type Constant, type Graph, type Node, shapeOf } from "../../core/trace/graph.js";
import { type Quantized, quantizeWeights } from "../quantize.js";
import { toFloat16 } from "./float16.js";
import { bytesOf, type Description, inputMetadata, ordered, type Precision } from "./format.js";
import { field, fields, inPieces, type Piece, type Pieces } from "./pieces.js";

const types = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
type Type = keyof typeof types;
/** Bytes of a number. */
const sizes = { float: 4, uint8: 1, int8: 1, int32: 4, int64: 8, float16: 2 } as const;

interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}
interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: Type;
  readonly data: Piece;
}

/** From this many numbers on, constants are stored as float16. */
const worthHalving = 64;

/** The file. */
export function onnx(graph: Graph, precision: Precision, description: Description): Pieces {
  const { nodes, initializers, output } = lower(graph, precision, description);
  return serialize(graph, nodes, initializers, output, description);
}

function lower(graph: Graph, precision: Precision, { input, output }: Description) {
  const nodes: OnnxNode[] = [];
  const initializers: Initializer[] = [];
  const { values: all, kept } = precision.kind === "int8" ? precision : {};
  /** Of the operation that is written; undefined where it computes in float32. */
  let values = all;
  const nchw = `${graph.input}/nchw`;

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

  const nameOf = (value: string): string => (value === graph.input ? nchw : value);
  const parametersOf = (value: string): Quantized => all!.get(value === nchw ? graph.input : value)!;
  const dequantized = new Map<string, string>();
  /** A value as its users see it: through uint8 where the model is quantized, and its maker or its user is. */
  const seen = (value: string, parameters = all && (values || !kept?.has(value)) && parametersOf(value)): string => {
    if (!parameters) return value;
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

  /** Names of the weights and the bias of a convolution or product. */
  const weightsOf = (node: Node & { weight: Constant; bias: Float64Array; x: string }): string[] => {
    const { weight, bias, out, x } = node;
    const { dims, order } = outputFirst(weight, node.op === "depthwise");
    const size = weight.data.length;
    if (!values && precision.kind !== "int8-dynamic") {
      return [
        floats(`${out}/weight`, dims, size, () => ordered(weight.data, new Float32Array(size), order)),
        constant(`${out}/bias`, [bias.length], "float", Float32Array.from(bias)),
      ];
    }
    const inputScale = values ? parametersOf(x).scale : 1e3; // a bias in float limits no scale
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

  const activate = (activation: "relu" | "relu6", x: string, out: string): void => {
    if (activation === "relu") {
      add("Relu", [x], out);
      return;
    }
    const limits = [0, 6].map((limit) => constant(`${out}/limit${limit}`, [], "float", Float32Array.of(limit)));
    add("Clip", [x, ...limits], out);
  };

  const lowerNode = (node: Node): void => {
    const { out } = node;
    const linear = node.activation === "none" ? out : `${out}/linear`;
    const x = "x" in node ? nameOf(node.x) : "";
    switch (node.op) {
      case "conv":
      case "depthwise": {
        const [height, width, channels] = node.weight.shape as [number, number, number];
        add("Conv", [seen(x), ...weightsOf(node)], linear, {
          kernel_shape: [height, width],
          strides: [node.stride, node.stride],
          pads: node.pads,
          group: node.op === "depthwise" ? channels : 1,
          dilations: [1, 1],
        });
        break;
      }
      case "affine": {
        // Small and per channel: left in float, also between quantized parts; the raw image is exact as it is.
        const dims = shapeOf(graph, out).length === 4 ? [node.scale.length, 1, 1] : [node.scale.length];
        const from = x === nchw ? x : seen(x);
        const scaled = [from, constant(`${out}/affine/scale`, dims, "float", Float32Array.from(node.scale))];
        add("Mul", scaled, `${out}/affine/scaled`);
        const shift = constant(`${out}/affine/shift`, dims, "float", Float32Array.from(node.shift));
        add("Add", [`${out}/affine/scaled`, shift], linear);
        break;
      }
      case "dense":
        add("Gemm", [seen(x), ...weightsOf(node)], linear, { transB: 1 });
        break;
      case "add":
      case "mul":
        add(node.op === "add" ? "Add" : "Mul", [seen(nameOf(node.a)), seen(nameOf(node.b))], linear);
        break;
      case "mean": {
        if (node.keepDims) {
          add("GlobalAveragePool", [seen(x)], linear);
          break;
        }
        const pooled = add("GlobalAveragePool", [seen(x)], `${out}/pooled`);
        add("Flatten", [values ? seen(pooled, parametersOf(out)) : pooled], linear, { axis: 1 });
        break;
      }
      case "max-pool":
        add("MaxPool", [seen(x)], linear, { kernel_shape: node.size, strides: node.strides, pads: node.pads });
        break;
      case "relu":
      case "relu6":
        activate(node.op, seen(x), linear);
        break;
      case "sigmoid":
        add("Sigmoid", [seen(x)], linear);
        break;
      case "erf":
        add("Erf", [seen(x)], linear);
        break;
      case "gelu": {
        const scalar = (name: string, value: number): string =>
          constant(`${out}/gelu/${name}`, [], "float", Float32Array.of(value));
        const from = seen(x);
        add("Mul", [from, scalar("root", Math.SQRT1_2)], `${out}/gelu/scaled`);
        add("Erf", [`${out}/gelu/scaled`], `${out}/gelu/erf`);
        add("Add", [`${out}/gelu/erf`, scalar("one", 1)], `${out}/gelu/shifted`);
        add("Mul", [from, `${out}/gelu/shifted`], `${out}/gelu/double`);
        add("Mul", [`${out}/gelu/double`, scalar("half", 0.5)], linear);
        break;
      }
      case "reshape": {
        const [, height = 1, width = 1] = shapeOf(graph, node.x).length === 4 ? shapeOf(graph, node.x) : [];
        if (height * width > 1) {
          throw new TrainerError(
            "ERR_EXPORT",
            `"${out}" reshapes a map of ${height} × ${width}; ONNX keeps channels first, so that the order would change. ` +
              "Export to litert, tfjs or savedmodel.",
          );
        }
        const to = shapeOf(graph, out);
        const dims = to.length === 4 ? [-1, to[3]!, to[1]!, to[2]!] : [-1, ...to.slice(1)];
        const shape = constant(`${out}/shape`, [dims.length], "int64", BigInt64Array.from(dims.map(BigInt)));
        add("Reshape", [seen(x), shape], linear);
        break;
      }
    }
    if (node.activation !== "none") activate(node.activation, linear, out);
  };

  const image =
    input === "uint8" ? add("Cast", [graph.input], `${graph.input}/float`, { to: types.float }) : graph.input;
  add("Transpose", [image], nchw, { perm: [0, 3, 1, 2] });
  for (const node of graph.nodes) {
    values = kept?.has(node.out) ? undefined : all;
    lowerNode(node);
  }
  values = kept?.has(graph.output) ? undefined : all;
  const logits = seen(graph.output);
  const last =
    output === "probabilities"
      ? add("Softmax", [logits], "probabilities", { axis: -1 })
      : logits === graph.output
        ? logits
        : add("Identity", [logits], "logits/output");
  return { nodes, initializers, output: last };
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

/** onnx.proto3's ModelProto, field numbers from there. */
function serialize(
  graph: Graph,
  nodes: readonly OnnxNode[],
  initializers: readonly Initializer[],
  output: string,
  description: Description,
): Pieces {
  const { input, size, classes, text, version } = description;
  const irVersion = 8;
  const opset = 17;
  const value = (tag: number, name: string, type: Type, dims: readonly (number | string)[]): Piece[] => {
    const shape = dims.flatMap((dim) =>
      field(1, [
        fields((pbf) => (typeof dim === "string" ? pbf.writeStringField(2, dim) : pbf.writeVarintField(1, dim))),
      ]),
    );
    const tensor = [fields((pbf) => pbf.writeVarintField(1, types[type])), ...field(2, shape)];
    return field(tag, [fields((pbf) => pbf.writeStringField(1, name)), ...field(2, field(1, tensor))]);
  };
  const metadata = {
    classes: JSON.stringify(classes),
    input: JSON.stringify(inputMetadata(description)),
  };
  return inPieces([
    fields((pbf) => {
      pbf.writeVarintField(1, irVersion);
      pbf.writeStringField(2, "fitloop");
      pbf.writeStringField(3, version);
      pbf.writeStringField(6, text);
    }),
    ...field(7, [
      ...nodes.flatMap((node) => field(1, [fields((pbf) => writeNode(node, pbf))])),
      fields((pbf) => pbf.writeStringField(2, "fitloop")),
      ...initializers.flatMap((each) => field(5, tensorOf(each))),
      ...value(11, graph.input, input === "uint8" ? "uint8" : "float", ["batch", size, size, 3]),
      ...value(12, output, "float", ["batch", classes.length]),
    ]),
    ...field(8, [
      fields((pbf) => {
        pbf.writeStringField(1, "");
        pbf.writeVarintField(2, opset);
      }),
    ]),
    ...Object.entries(metadata).flatMap(([key, text]) =>
      field(14, [
        fields((pbf) => {
          pbf.writeStringField(1, `fitloop.${key}`);
          pbf.writeStringField(2, text);
        }),
      ]),
    ),
  ]);
}

/** TensorProto; its bytes come last. */
const tensorOf = ({ name, dims, type, data }: Initializer): Piece[] => [
  fields((pbf) => {
    for (const dim of dims) pbf.writeVarintField(1, dim);
    pbf.writeVarintField(2, types[type]);
    pbf.writeStringField(8, name);
  }),
  ...field(9, [data]),
];

/** AttributeProto's own types, in field 20. */
const attributeTypes = { int: 2, ints: 7 } as const;

function writeNode({ op, inputs, output, attributes }: OnnxNode, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  pbf.writeStringField(2, output);
  pbf.writeStringField(4, op);
  for (const [name, value] of Object.entries(attributes)) {
    pbf.writeMessage(
      5,
      (_: null, attribute: PbfWriter) => {
        attribute.writeStringField(1, name);
        if (typeof value === "number") attribute.writeVarintField(3, value);
        else for (const each of value) attribute.writeVarintField(8, each);
        attribute.writeVarintField(20, typeof value === "number" ? attributeTypes.int : attributeTypes.ints);
      },
      null,
    );
  }
}

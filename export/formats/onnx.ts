/**
 * ONNX, opset 17. NCHW inside, images [batch, size, size, 3] outside. int8 is written as QuantizeLinear and DequantizeLinear
 * around float operations, with uint8 activations: ONNX Runtime fuses these into integer kernels on x86 and ARM.
 */
import type { PbfWriter } from "pbf";
import { TrainerError } from "../../core/errors.js";
import { type Graph, type Node, shapeOf } from "../../core/trace/graph.js";
import { type Description, inputMetadata, type Precision } from "./format.js";
import { createWriter, type Initializer, type OnnxNode, type Type, types, type Writer } from "./onnx-writer.js";
import { field, fields, inPieces, type Piece, type Pieces } from "./pieces.js";

/** The file. */
export function onnx(graph: Graph, precision: Precision, description: Description): Pieces {
  const { writer, output } = lower(graph, precision, description);
  return serialize(writer, output, description);
}

/** The graph's operations as ONNX's, in its order. */
function lower(graph: Graph, precision: Precision, { input, output }: Description): { writer: Writer; output: string } {
  const writer = createWriter(graph, precision);
  const { add } = writer;
  const image =
    input === "uint8" ? add("Cast", [graph.input], `${graph.input}/float`, { to: types.float }) : graph.input;
  add("Transpose", [image], writer.image, { perm: [0, 3, 1, 2] });
  for (const node of graph.nodes) {
    writer.enter(node.out);
    const linear = node.activation === "none" ? node.out : `${node.out}/linear`;
    (lowerings[node.op] as Lowering<Node>)(node, linear, writer);
    if (node.activation !== "none") activate(node.activation, linear, node.out, writer);
  }
  writer.enter(graph.output);
  const logits = writer.seen(graph.output);
  if (output === "probabilities") return { writer, output: add("Softmax", [logits], "probabilities", { axis: -1 }) };
  return { writer, output: logits === graph.output ? logits : add("Identity", [logits], "logits/output") };
}

/** Writes one operation of the graph without its activation. @throws TrainerError ERR_EXPORT for one that ONNX cannot hold */
type Lowering<N extends Node> = (node: N, to: string, writer: Writer) => void;

function activate(activation: "relu" | "relu6", x: string, to: string, { add, constant }: Writer): void {
  if (activation === "relu") {
    add("Relu", [x], to);
    return;
  }
  const limits = [0, 6].map((limit) => constant(`${to}/limit${limit}`, [], "float", Float32Array.of(limit)));
  add("Clip", [x, ...limits], to);
}

const convolution: Lowering<Extract<Node, { op: "conv" | "depthwise" }>> = (node, to, { add, seen, weightsOf }) => {
  const [height, width, channels] = node.weight.shape as [number, number, number];
  add("Conv", [seen(node.x), ...weightsOf(node)], to, {
    kernel_shape: [height, width],
    strides: [node.stride, node.stride],
    pads: node.pads,
    group: node.op === "depthwise" ? channels : 1,
    dilations: [1, 1],
  });
};

const unary =
  (op: string): Lowering<Extract<Node, { x: string }>> =>
  ({ x }, to, { add, seen }) =>
    void add(op, [seen(x)], to);

const binary =
  (op: string): Lowering<Extract<Node, { a: string }>> =>
  ({ a, b }, to, { add, seen }) =>
    void add(op, [seen(a), seen(b)], to);

const activation =
  (name: "relu" | "relu6"): Lowering<Extract<Node, { x: string }>> =>
  ({ x }, to, writer) =>
    activate(name, writer.seen(x), to, writer);

const lowerings: { readonly [N in Node as N["op"]]: Lowering<N> } = {
  conv: convolution,
  depthwise: convolution,
  /** Small and per channel: left in float, also between quantized parts; the raw image is exact as it is. */
  affine({ out, x, scale, shift }, to, { graph, image, add, constant, seen }) {
    const dims = shapeOf(graph, out).length === 4 ? [scale.length, 1, 1] : [scale.length];
    const from = x === graph.input ? image : seen(x);
    const factors = constant(`${out}/affine/scale`, dims, "float", Float32Array.from(scale));
    const scaled = add("Mul", [from, factors], `${out}/affine/scaled`);
    add("Add", [scaled, constant(`${out}/affine/shift`, dims, "float", Float32Array.from(shift))], to);
  },
  dense(node, to, { add, seen, weightsOf }) {
    add("Gemm", [seen(node.x), ...weightsOf(node)], to, { transB: 1 });
  },
  add: binary("Add"),
  mul: binary("Mul"),
  mean({ out, x, keepDims }, to, { add, seen, seenAs }) {
    if (keepDims) {
      add("GlobalAveragePool", [seen(x)], to);
      return;
    }
    const pooled = add("GlobalAveragePool", [seen(x)], `${out}/pooled`);
    add("Flatten", [seenAs(out, pooled)], to, { axis: 1 });
  },
  "max-pool"({ x, size, strides, pads }, to, { add, seen }) {
    add("MaxPool", [seen(x)], to, { kernel_shape: size, strides, pads });
  },
  relu: activation("relu"),
  relu6: activation("relu6"),
  sigmoid: unary("Sigmoid"),
  erf: unary("Erf"),
  gelu({ out, x }, to, { add, constant, seen }) {
    const scalar = (name: string, value: number): string =>
      constant(`${out}/gelu/${name}`, [], "float", Float32Array.of(value));
    const from = seen(x);
    add("Mul", [from, scalar("root", Math.SQRT1_2)], `${out}/gelu/scaled`);
    add("Erf", [`${out}/gelu/scaled`], `${out}/gelu/erf`);
    add("Add", [`${out}/gelu/erf`, scalar("one", 1)], `${out}/gelu/shifted`);
    add("Mul", [from, `${out}/gelu/shifted`], `${out}/gelu/double`);
    add("Mul", [`${out}/gelu/double`, scalar("half", 0.5)], to);
  },
  reshape({ out, x }, to, { graph, add, constant, seen }) {
    const [, height = 1, width = 1] = shapeOf(graph, x).length === 4 ? shapeOf(graph, x) : [];
    if (height * width > 1) {
      throw new TrainerError(
        "ERR_EXPORT",
        `"${out}" reshapes a map of ${height} × ${width}; ONNX keeps channels first, so that the order would change. ` +
          "Export to litert, tfjs or savedmodel.",
      );
    }
    const shape = shapeOf(graph, out);
    const dims = shape.length === 4 ? [-1, shape[3]!, shape[1]!, shape[2]!] : [-1, ...shape.slice(1)];
    const stored = constant(`${out}/shape`, [dims.length], "int64", BigInt64Array.from(dims.map(BigInt)));
    add("Reshape", [seen(x), stored], to);
  },
};

/** onnx.proto3's ModelProto, field numbers from there. */
function serialize({ graph, nodes, initializers }: Writer, output: string, description: Description): Pieces {
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

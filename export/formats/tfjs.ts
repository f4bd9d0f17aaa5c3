/** A tf.js graph model: model.json and its weights in shards. */
import { type Graph, shapeOf } from "../../core/trace/graph.js";
import { toFloat16 } from "./float16.js";
import { bytesOf, type Description, metadataOf } from "./format.js";
import { inPieces, lengthOf, type Piece, type Pieces } from "./pieces.js";
import { type Attribute, lowerToTensorflow, type TensorConstant, type TensorflowNode } from "./tensorflow.js";

/** What a shard holds at most: the size that tf.js' own converter chose, so that browsers can cache it. */
const shardBytes = 4 * 1024 * 1024;
/** Weights of fewer numbers are stored as they are. */
const worthShrinking = 16;

/** File name -> file. "float16" and "int8-dynamic" (8 bits a weight) shrink the download; tf.js computes in float32. */
export function tfjs(
  graph: Graph,
  precision: "float32" | "float16" | "int8-dynamic",
  description: Description,
): Map<string, Pieces> {
  const { nodes, constants, output } = lowerToTensorflow(graph, description, { fused: true });
  const stored = constants.map((each) => store(each, precision));
  const weights = stored.map(({ piece }) => piece);
  const count = Math.max(1, Math.ceil(lengthOf(weights) / shardBytes));
  const paths = Array.from({ length: count }, (_, place) => `group1-shard${place + 1}of${count}.bin`);
  const { classes, version, input } = description;
  const end = (name: string, type: string, shape: readonly number[]): object => ({
    name: `${name}:0`,
    dtype: type,
    tensorShape: shapeJson(shape),
  });
  const image =
    input === "uint8"
      ? end("image_bytes", "DT_UINT8", shapeOf(graph, graph.input))
      : end(graph.input, "DT_FLOAT", shapeOf(graph, graph.input));
  const model = {
    format: "graph-model",
    generatedBy: `fitloop ${version}`,
    convertedBy: `fitloop ${version}`,
    signature: {
      inputs: { image },
      outputs: { [description.output]: end(output, "DT_FLOAT", [-1, classes.length]) },
    },
    userDefinedMetadata: metadataOf(description),
    modelTopology: { node: nodes.map(nodeJson), library: {}, versions: { producer: 1766 } },
    weightsManifest: [{ paths, weights: stored.map(({ specification }) => specification) }],
  };
  const bytes = keepingLast();
  return new Map([
    ["model.json", inPieces([Buffer.from(JSON.stringify(model))])],
    ...paths.map((path, place) => [path, cut(weights, [place * shardBytes, (place + 1) * shardBytes], bytes)] as const),
  ]);
}

/** Bytes of a piece. Those of the last one are kept: a large tensor is in several shards. */
function keepingLast(): (piece: Piece) => Uint8Array {
  let last: { piece: Piece; bytes: Uint8Array } | undefined;
  return (piece) => {
    if (piece instanceof Uint8Array) return piece;
    if (last?.piece !== piece) last = { piece, bytes: piece.bytes() };
    return last.bytes;
  };
}

/** Bytes [from, to) of pieces one after another. */
function cut(
  pieces: readonly Piece[],
  [from, to]: readonly [number, number],
  bytesOf: (piece: Piece) => Uint8Array,
): Pieces {
  const parts: Piece[] = [];
  let start = 0;
  for (const piece of pieces) {
    const [first, last] = [Math.max(from, start) - start, Math.min(to, start + piece.length) - start];
    const bytes = (): Uint8Array => bytesOf(piece).subarray(first, last);
    if (first < last) parts.push({ length: last - first, bytes });
    start += piece.length;
  }
  return inPieces(parts);
}

/** How a constant is described, and its bytes. */
function store(
  { name, shape, type, data }: TensorConstant,
  precision: "float32" | "float16" | "int8-dynamic",
): { specification: object; piece: Piece } {
  const plain = { name, shape, dtype: type };
  if (type === "int32" || precision === "float32" || data.length < worthShrinking) {
    return { specification: plain, piece: bytesOf(data) };
  }
  if (precision === "float16") {
    const quantization = { dtype: "float16", original_dtype: "float32" };
    const bytes = (): Uint8Array => bytesOf(toFloat16(data as Float32Array));
    return { specification: { ...plain, quantization }, piece: { length: 2 * data.length, bytes } };
  }
  if (shape.length < 2) return { specification: plain, piece: bytesOf(data) };
  // With an exact zero, as the converter does: the least value is a whole number of steps below it.
  let [low, high] = [0, 0];
  for (const each of data) {
    if (each < low) low = each;
    if (each > high) high = each;
  }
  const scale = (high - low) / 255 || 1;
  const zero = Math.round(-low / scale);
  const bytes = (): Uint8Array => {
    const whole = new Uint8Array(data.length);
    for (let at = 0; at < data.length; at++) {
      whole[at] = Math.max(0, Math.min(255, Math.round(data[at]! / scale) + zero));
    }
    return whole;
  };
  const quantization = { dtype: "uint8", original_dtype: "float32", min: -zero * scale, scale };
  return { specification: { ...plain, quantization }, piece: { length: data.length, bytes } };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const shapeJson = (shape: readonly number[]): object => ({ dim: shape.map((size) => ({ size: String(size) })) });
const typeNames = { float32: "DT_FLOAT", int32: "DT_INT32", uint8: "DT_UINT8" } as const;

const nodeJson = ({ name, op, inputs, attributes }: TensorflowNode): object => ({
  name,
  op,
  ...(inputs.length > 0 && { input: inputs }),
  attr: Object.fromEntries(Object.entries(attributes).map(([key, attribute]) => [key, attributeJson(attribute)])),
});

/** As the loader wants it: whole numbers and sizes as text, text as base64. */
function attributeJson(attribute: Attribute): object {
  if ("type" in attribute) return { type: typeNames[attribute.type] };
  if ("text" in attribute) return { s: base64(attribute.text) };
  if ("int" in attribute) return { i: String(attribute.int) };
  if ("flag" in attribute) return { b: attribute.flag };
  if ("float" in attribute) return { f: attribute.float };
  if ("ints" in attribute) return { list: { i: attribute.ints.map(String) } };
  if ("texts" in attribute) return { list: { s: attribute.texts.map(base64) } };
  if ("shape" in attribute) return { shape: shapeJson(attribute.shape) };
  const { type, shape } = attribute.constant;
  return { tensor: { dtype: typeNames[type], tensorShape: shapeJson(shape) } };
}

/** A LiteRT model as bytes: tensors and operators in, a FlatBuffer of TensorFlow Lite's schema.fbs, version 3, out. */
import { createFlatBuffer, type Field, type FlatBuffer, type Offset } from "./flatbuffer.js";
import type { Description } from "./format.js";
import { litertMetadata } from "./litert-metadata.js";
import type { Piece } from "./pieces.js";

/** schema.fbs: TensorType. */
const types = { float32: 0, float16: 1, int32: 2, uint8: 3, int8: 9 } as const;
export type Type = keyof typeof types;
/** Bytes of a number. */
export const sizes = { float32: 4, float16: 2, int32: 4, uint8: 1, int8: 1 } as const;

/** schema.fbs: BuiltinOperator, and the member of BuiltinOptions that goes with it. */
const operators = {
  ADD: { code: 0, options: 11 },
  CONV_2D: { code: 3, options: 1 },
  DEPTHWISE_CONV_2D: { code: 4, options: 2 },
  DEQUANTIZE: { code: 6, options: 38 },
  FULLY_CONNECTED: { code: 9, options: 8 },
  LOGISTIC: { code: 14, options: 0 },
  MAX_POOL_2D: { code: 17, options: 5 },
  MUL: { code: 18, options: 21 },
  RELU: { code: 19, options: 0 },
  RELU6: { code: 21, options: 0 },
  RESHAPE: { code: 22, options: 17 },
  SOFTMAX: { code: 25, options: 9 },
  PAD: { code: 34, options: 22 },
  MEAN: { code: 40, options: 27 },
  QUANTIZE: { code: 114, options: 89 },
  GELU: { code: 150, options: 116 },
} as const;
export type OperatorName = keyof typeof operators;

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: Type;
  /** Place among the buffers; 0 for a value that is computed. */
  readonly buffer: number;
  readonly quantization?: { scales: ArrayLike<number>; zeros: ArrayLike<number>; axis: number };
}

export interface Operator {
  readonly name: OperatorName;
  /** As the runtime's op_version.cc wants it. */
  readonly version: number;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options: Readonly<Record<number, Field>>;
  /** For RESHAPE, whose options hold a list. */
  readonly shape?: readonly number[];
}

export interface Model {
  readonly tensors: readonly Tensor[];
  /** The first is empty. */
  readonly buffers: readonly Piece[];
  /** In the order in which they run. */
  readonly operators: readonly Operator[];
  /** The tensors of the image and of the answer. */
  readonly input: number;
  readonly output: number;
}

/** The model as bytes; slots are those of schema.fbs. */
export function pack({ tensors, buffers, operators: list, input, output }: Model, description: Description) {
  const metadata = [
    { name: "min_runtime_version", data: new TextEncoder().encode("2.14.0".padEnd(16, "\0")) },
    { name: "TFLITE_METADATA", data: litertMetadata(description) },
  ];
  const all = [...buffers, ...metadata.map(({ data }) => data)];
  const file = createFlatBuffer();
  const data = file.list(all.map((each) => file.table(each.length > 0 ? { 0: { at: file.bytes(each) } } : {})));
  const versions = [...new Set(list.map(({ name, version }) => `${name}:${version}`))];
  const graph = file.table({
    0: { at: file.list(tensors.map((each) => packTensor(file, each))) },
    1: { at: file.ints([input]) },
    2: { at: file.ints([output]) },
    3: {
      at: file.list(list.map((each) => packOperator(file, each, versions.indexOf(`${each.name}:${each.version}`)))),
    },
    4: { at: file.text("main") },
  });
  const codes = versions.map((each) => {
    const [name, version] = each.split(":") as [OperatorName, string];
    const { code } = operators[name];
    return file.table({ 0: { byte: Math.min(code, 127) }, 2: { int: Number(version), or: 1 }, 3: { int: code } });
  });
  const named = (name: string, index: number): Offset =>
    file.list([file.table({ 0: { at: file.text(name) }, 1: { int: index } })]);
  const signature = file.table({
    0: { at: named("image", input) },
    1: { at: named(description.output, output) },
    2: { at: file.text("serving_default") },
  });
  const entries = metadata.map(({ name }, place) =>
    file.table({ 0: { at: file.text(name) }, 1: { int: buffers.length + place } }),
  );
  const root = file.table({
    0: { int: 3 },
    1: { at: file.list(codes) },
    2: { at: file.list([graph]) },
    3: { at: file.text(description.text) },
    4: { at: data },
    6: { at: file.list(entries) },
    7: { at: file.list([signature]) },
  });
  return file.finish(root, "TFL3");
}

function packTensor(file: FlatBuffer, { name, shape, type, buffer, quantization }: Tensor): Offset {
  const parameters =
    quantization &&
    file.table({
      2: { at: file.floats(quantization.scales) },
      3: { at: file.longs(quantization.zeros) },
      6: { int: quantization.axis },
    });
  return file.table({
    0: { at: file.ints(shape) },
    1: { byte: types[type] },
    2: { int: buffer },
    3: { at: file.text(name) },
    4: { at: parameters },
    8: { byte: 1 }, // has a rank
  });
}

function packOperator(file: FlatBuffer, { name, inputs, outputs, options, shape }: Operator, code: number): Offset {
  const union = operators[name].options;
  const fields = shape ? { 0: { at: file.ints(shape) } } : options;
  const packed: Record<number, Field> = union === 0 ? {} : { 3: { byte: union }, 4: { at: file.table(fields) } };
  return file.table({ 0: { int: code }, 1: { at: file.ints(inputs) }, 2: { at: file.ints(outputs) }, ...packed });
}

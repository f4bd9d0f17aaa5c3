/**
 * LiteRT (.tflite): a FlatBuffer of TensorFlow Lite's schema.fbs, version 3. NHWC, filters [out, height, width, in]. The batch is
 * 1: LiteRT.js takes no other, and Python's interpreter resizes such a model all the same.
 */
import { TrainerError } from "../../core/errors.js";
import { type Constant, type Graph, type Node, type Pads, shapeOf } from "../../core/trace/graph.js";
import { probabilities, type Quantized, quantizeWeights } from "../quantize.js";
import { createFlatBuffer, type Field, type FlatBuffer, type Offset } from "./flatbuffer.js";
import { toFloat16 } from "./float16.js";
import { bytesOf, type Description, ordered, type Precision } from "./format.js";
import { labelsFile, litertMetadata, withAttachedFile } from "./litert-metadata.js";
import { inPieces, type Piece, type Pieces } from "./pieces.js";

/** schema.fbs: TensorType. */
const types = { float32: 0, float16: 1, int32: 2, uint8: 3, int8: 9 } as const;
type Type = keyof typeof types;
/** Bytes of a number. */
const sizes = { float32: 4, float16: 2, int32: 4, uint8: 1, int8: 1 } as const;

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
type OperatorName = keyof typeof operators;

const padding = { same: 0, valid: 1 } as const;

/** schema.fbs: ActivationFunctionType. */
const activations = { none: 0, relu: 1, relu6: 3 } as const;

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: Type;
  /** Place among the buffers; 0 for a value that is computed. */
  readonly buffer: number;
  readonly quantization?: { scales: ArrayLike<number>; zeros: ArrayLike<number>; axis: number };
}

interface Operator {
  readonly name: OperatorName;
  /** As the runtime's op_version.cc wants it. */
  readonly version: number;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options: Readonly<Record<number, Field>>;
  /** For RESHAPE, whose options hold a list. */
  readonly shape?: readonly number[];
}

/** Weights of fewer numbers stay float32 in "int8-dynamic", and float32 in "float16". */
const worthQuantizing = 1024;
const worthHalving = 64;

/** The file. @throws TrainerError ERR_EXPORT for a graph that LiteRT cannot hold */
export function litert(graph: Graph, precision: Precision, description: Description): Pieces {
  const model = pack(lower(graph, precision, description), description);
  const labels = description.classes.map((name) => `${name}\n`).join("");
  return inPieces(withAttachedFile(model, labelsFile, labels));
}

function lower(graph: Graph, precision: Precision, { input, output, size, classes }: Description) {
  const tensors: Tensor[] = [];
  const buffers: Piece[] = [new Uint8Array()]; // the first must be empty
  const list: Operator[] = [];
  const places = new Map<string, number>(); // value -> tensor
  const { values: all, kept } = precision.kind === "int8" ? precision : {};
  /** Of the operation that is written; undefined where it computes in float32. */
  let values = all;
  const nonNegative = new Set(
    graph.nodes
      .filter((each) => each.activation !== "none" || each.op === "relu" || each.op === "relu6")
      .map((n) => n.out),
  );

  const tensor = (
    name: string,
    shape: readonly number[],
    type: Type,
    {
      data,
      quantization,
    }: { data?: ArrayBufferView | (() => ArrayBufferView); quantization?: Tensor["quantization"] } = {},
  ): number => {
    const length = (): number => shape.reduce((product, each) => product * each, sizes[type]);
    const stored =
      typeof data === "function" ? { length: length(), bytes: () => bytesOf(data()) } : data && bytesOf(data);
    const buffer = stored === undefined ? 0 : buffers.push(stored) - 1;
    const fixed = shape.map((each) => (each === -1 ? 1 : each));
    return tensors.push({ name, shape: fixed, type, buffer, quantization }) - 1;
  };
  const whole = ({ scale, zero }: Quantized): Tensor["quantization"] => ({ scales: [scale], zeros: [zero], axis: 0 });
  /** A computed value. */
  const value = (name: string, shape = shapeOf(graph, name), parameters = values?.get(name)): number => {
    const place = tensor(name, shape, values ? "int8" : "float32", { quantization: parameters && whole(parameters) });
    places.set(name, place);
    return place;
  };
  const converted = new Map<string, number>(); // value -> tensor of the other type
  /** The tensor of a value, in the type of the operation that is written. */
  const at = (name: string): number => {
    const place = places.get(name)!;
    const wanted = values ? "int8" : "float32";
    if (tensors[place]!.type === wanted) return place;
    let made = converted.get(name);
    if (made === undefined) {
      const parameters = values?.get(name);
      made = tensor(`${name}/${wanted}`, shapeOf(graph, name), wanted, {
        quantization: parameters && whole(parameters),
      });
      converted.set(name, made);
      list.push({
        name: values ? "QUANTIZE" : "DEQUANTIZE",
        version: values ? 1 : 2,
        inputs: [place],
        outputs: [made],
        options: {},
      });
    }
    return made;
  };
  const add = (
    name: OperatorName,
    version: { float: number; int8?: number },
    inputs: readonly number[],
    outputs: readonly number[],
    options: Operator["options"] = {},
    shape?: readonly number[],
  ): void => {
    const chosen = values ? (version.int8 ?? version.float) : version.float;
    list.push({ name, version: chosen, inputs, outputs, options, shape });
  };

  const floats = (name: string, shape: readonly number[], size: number, data: () => Float32Array): number => {
    if (precision.kind !== "float16" || size < worthHalving) return tensor(name, shape, "float32", { data });
    const half = tensor(`${name}/half`, shape, "float16", { data: () => toFloat16(data()) });
    const single = tensor(name, shape, "float32");
    add("DEQUANTIZE", { float: 3 }, [half], [single]);
    return single;
  };

  type Weighted = { out: string; x: string; weight: Constant; bias: Float64Array };
  /** Tensors of the weights and the bias; `hybrid` where int8 weights meet float32 values. */
  const weightsOf = ({ out, x, weight, bias }: Weighted, depthwise: boolean): { inputs: number[]; hybrid: boolean } => {
    const { shape, order } = outputFirst(weight, depthwise);
    const count = weight.data.length;
    const hybrid = precision.kind === "int8-dynamic" && count >= worthQuantizing;
    const plainBias = (): number => tensor(`${out}/bias`, [bias.length], "float32", { data: Float32Array.from(bias) });
    if (!values && !hybrid) {
      const data = (): Float32Array => ordered(weight.data, new Float32Array(count), order);
      return { inputs: [floats(`${out}/weight`, shape, count, data), plainBias()], hybrid };
    }
    const inputScale = values ? values.get(x)!.scale : 1e3; // a bias in float limits no scale
    const { data, scales, bias: stored } = quantizeWeights(weight, bias, inputScale);
    const zeros = new Array<number>(scales.length).fill(0);
    const kernel = tensor(`${out}/weight`, shape, "int8", {
      data: () => ordered(data(), new Int8Array(count), order),
      quantization: { scales, zeros, axis: depthwise ? 3 : 0 },
    });
    if (!values) return { inputs: [kernel, plainBias()], hybrid };
    const biasScales = scales.map((each) => each * inputScale);
    const quantization = { scales: biasScales, zeros, axis: 0 };
    return { inputs: [kernel, tensor(`${out}/bias`, [bias.length], "int32", { data: stored, quantization })], hybrid };
  };

  type Padded = { out: string; x: string; pads: Pads };
  /** The runtime pads "same" or not at all; what neither means is a PAD before. */
  const padded = (node: Padded, kernel: readonly number[], stride: number): { x: number; padding: number } => {
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
    const made = value(name, shape, values?.get(node.x));
    add("PAD", { float: 1, int8: 2 }, [at(node.x), before], [made]);
    return { x: made, padding: padding.valid };
  };

  const lowerNode = (node: Node): void => {
    const { out } = node;
    const relu = activations[node.activation];
    switch (node.op) {
      case "conv":
      case "depthwise": {
        const depthwise = node.op === "depthwise";
        const { x, padding } = padded(node, node.weight.shape, node.stride);
        const { inputs, hybrid } = weightsOf(node, depthwise);
        const places = { 0: { byte: padding }, 1: { int: node.stride }, 2: { int: node.stride } };
        if (depthwise) {
          const options = { ...places, 3: { int: 1 }, 4: { byte: relu } };
          add("DEPTHWISE_CONV_2D", { float: hybrid ? 6 : 1, int8: 3 }, [x, ...inputs], [value(out)], options);
        } else {
          add("CONV_2D", { float: hybrid ? 5 : 1, int8: 3 }, [x, ...inputs], [value(out)], {
            ...places,
            3: { byte: relu },
          });
        }
        break;
      }
      case "affine": {
        // A depthwise convolution of one pixel: LiteRT has no other operation per channel in int8.
        if (shapeOf(graph, out).length !== 4) throw unsupported(out, "scales the channels of a vector");
        const weight = { shape: [1, 1, node.scale.length, 1], data: Float32Array.from(node.scale) };
        const { inputs } = weightsOf({ out, x: node.x, weight, bias: node.shift }, true);
        const options = { 0: { byte: padding.valid }, 1: { int: 1 }, 2: { int: 1 }, 3: { int: 1 }, 4: { byte: relu } };
        add("DEPTHWISE_CONV_2D", { float: 1, int8: 3 }, [at(node.x), ...inputs], [value(out)], options);
        break;
      }
      case "dense": {
        const { inputs, hybrid } = weightsOf(node, false);
        const version = { float: hybrid ? 12 : 1, int8: 4 };
        add("FULLY_CONNECTED", version, [at(node.x), ...inputs], [value(out)], { 0: { byte: relu } });
        break;
      }
      case "add":
        add("ADD", { float: 1, int8: 2 }, [at(node.a), at(node.b)], [value(out)], { 0: { byte: relu } });
        break;
      case "mul": {
        const scaleOf = (name: string): number => values?.get(name)?.scale ?? 0;
        const grows = values && (scaleOf(node.a) * scaleOf(node.b)) / scaleOf(out) >= 1;
        add("MUL", { float: 1, int8: grows ? 3 : 2 }, [at(node.a), at(node.b)], [value(out)], { 0: { byte: relu } });
        break;
      }
      case "mean": {
        const axes = tensor(`${out}/axes`, [2], "int32", { data: Int32Array.of(1, 2) });
        add("MEAN", { float: 1, int8: 2 }, [at(node.x), axes], [value(out)], { 0: { byte: Number(node.keepDims) } });
        break;
      }
      case "max-pool": {
        // A PAD adds zeros, which never win only where nothing is below zero.
        const pads = node.pads.some((each) => each > 0);
        const same = isSame(shapeOf(graph, node.x), shapeOf(graph, out), node.size, node.strides[0], node.pads);
        if (pads && !same && !nonNegative.has(node.x)) throw unsupported(out, "pads a max pool of numbers below zero");
        const { x, padding } = padded(node, node.size, node.strides[0]);
        const options = {
          0: { byte: padding },
          1: { int: node.strides[1] },
          2: { int: node.strides[0] },
          3: { int: node.size[1] },
          4: { int: node.size[0] },
        };
        add("MAX_POOL_2D", { float: 1, int8: 2 }, [x], [value(out)], options);
        break;
      }
      case "reshape": {
        const shape = shapeOf(graph, out);
        const to = tensor(`${out}/shape`, [shape.length], "int32", { data: Int32Array.from(shape) });
        add("RESHAPE", { float: 1 }, [at(node.x), to], [value(out)], {}, shape);
        break;
      }
      case "relu":
      case "relu6":
        add(node.op === "relu" ? "RELU" : "RELU6", { float: 1, int8: 2 }, [at(node.x)], [value(out)]);
        break;
      case "sigmoid":
        add("LOGISTIC", { float: 1, int8: 2 }, [at(node.x)], [value(out)]);
        break;
      case "gelu":
        add("GELU", { float: 1, int8: 2 }, [at(node.x)], [value(out)], { 0: { byte: 0 } });
        break;
      case "erf":
        throw unsupported(out, "is an error function outside a GELU");
    }
  };

  // The image as the model sees it: float32, or uint8, whose int8 twin is exact.
  const shape = [-1, size, size, 3];
  let first: number;
  if (values) {
    const parameters = values.get(graph.input)!;
    const quantization = { scales: [parameters.scale], zeros: [parameters.zero + 128], axis: 0 };
    first = tensor(graph.input, shape, input, input === "uint8" ? { quantization } : {});
    const inner = tensor(`${graph.input}/int8`, shape, "int8", { quantization: whole(parameters) });
    list.push({ name: "QUANTIZE", version: input === "uint8" ? 2 : 1, inputs: [first], outputs: [inner], options: {} });
    places.set(graph.input, inner);
  } else if (input === "uint8") {
    first = tensor(graph.input, shape, "uint8", { quantization: { scales: [1], zeros: [0], axis: 0 } });
    const inner = tensor(`${graph.input}/float`, shape, "float32");
    add("DEQUANTIZE", { float: 1 }, [first], [inner]);
    places.set(graph.input, inner);
  } else {
    first = value(graph.input, shape);
  }
  for (const node of graph.nodes) {
    values = kept?.has(node.out) ? undefined : all;
    lowerNode(node);
  }
  values = kept?.has(graph.output) ? undefined : all;
  let last = graph.output;
  if (output === "probabilities") {
    last = "probabilities";
    const made = value(last, [-1, classes.length], probabilities);
    add("SOFTMAX", { float: 1, int8: 2 }, [at(graph.output)], [made], { 0: { float: 1 } });
  }
  let result = at(last);
  if (values) {
    result = tensor(`${last}/float`, [-1, classes.length], "float32");
    add("DEQUANTIZE", { float: 1, int8: 2 }, [at(last)], [result]);
  }
  return { tensors, buffers, operators: list, first, result };
}

const unsupported = (name: string, what: string): TrainerError =>
  new TrainerError(
    "ERR_EXPORT",
    `LiteRT cannot hold this model: "${name}" ${what}. Export to onnx, tfjs or savedmodel.`,
  );

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

/** The model as bytes; slots are those of schema.fbs. */
function pack(
  { tensors, buffers, operators: list, first, result }: ReturnType<typeof lower>,
  description: Description,
) {
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
    1: { at: file.ints([first]) },
    2: { at: file.ints([result]) },
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
    0: { at: named("image", first) },
    1: { at: named(description.output, result) },
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

/**
 * A model's evaluation as a graph. The model runs twice, at two batch sizes, while its calls of TensorFlow's addon are
 * recorded: no layer has an exporter of its own, and what a plugin added comes along.
 */
import * as tf from "@tensorflow/tfjs-core";
import { currentNativeCalls } from "../backend/graph/native-calls.js";
import { TrainerError } from "../errors.js";
import { forward, type Layer, type Weights, zeroWeights } from "../nn/layer.js";
import type { Constant, Graph, Node, Pads } from "./graph.js";

interface Recorded {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Values, by name; undefined for one that was made before the recording. */
  readonly inputs: readonly (string | undefined)[];
  readonly out: string;
  readonly shape: readonly number[];
  /** Full name of the last layer that was finished before it. */
  readonly after: string;
}

interface Recording {
  readonly operations: readonly Recorded[];
  readonly constants: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array | Int32Array }>;
  /** Value -> the layer that gave it. */
  readonly layers: ReadonlyMap<string, string>;
  readonly output: string;
}

/** The parts of tfjs-node's backend that know a tensor's number in the addon. */
interface NativeBackend {
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  tensorMap: tf.DataStorage<{ id: number }>;
}

const inputName = "image";
const weightPrefix = "weight/";

/** Runs the model on zeros of a shape and writes down every call. */
function record(layer: Layer, weights: Weights, shape: number[]): Recording {
  const native = currentNativeCalls();
  if (!native) {
    throw new TrainerError(
      "ERR_BACKEND",
      "Looking at a network's operations needs the TensorFlow backend, which records them. Run `trainer backend install`.",
    );
  }
  const backend = tf.backend() as unknown as NativeBackend;
  const names = new Map<number, string>(); // the addon's number of a tensor -> value
  const operations: Recorded[] = [];
  const constants = new Map<string, { shape: readonly number[]; data: Float32Array | Int32Array }>();
  const layers = new Map<string, string>();
  let after = "";
  let output = "";
  tf.tidy(() => {
    const x = tf.zeros(shape);
    names.set(backend.getInputTensorIds([x])[0]!, inputName);
    for (const [name, value] of weights) {
      names.set(backend.getInputTensorIds([value])[0]!, weightPrefix + name);
      constants.set(weightPrefix + name, { shape: value.shape, data: value.dataSync() as Float32Array });
    }
    const { executeOp, createTensor } = native;
    native.executeOp = (name, attributes, ids, count) => {
      const outputs = executeOp(name, attributes, ids, count);
      const out = `value/${operations.length}`;
      outputs.forEach(({ id }, place) => names.set(id, place === 0 ? out : `${out}:${place}`));
      operations.push({
        name,
        attributes: Object.fromEntries(attributes.map((each) => [each.name, each.value])),
        inputs: ids.map((id) => names.get(id)),
        out,
        shape: outputs[0]!.shape,
        after,
      });
      return outputs;
    };
    native.createTensor = (size, dtype, values) => {
      const id = createTensor(size, dtype, values);
      const name = `constant/${constants.size}`;
      names.set(id, name);
      constants.set(name, { shape: [...size], data: (values as Float32Array | Int32Array).slice() });
      return id;
    };
    try {
      const observe = (path: string, output: tf.Tensor): tf.Tensor => {
        const value = names.get(backend.tensorMap.get(output.dataId).id);
        if (value !== undefined && !layers.has(value)) layers.set(value, path);
        after = path;
        return output;
      };
      const logits = forward(layer, x, { weights, observe });
      output = names.get(backend.getInputTensorIds([logits])[0]!)!;
    } finally {
      Object.assign(native, { executeOp, createTensor });
    }
  });
  return { operations, constants, layers, output };
}

/** What an operation took from the network's weights. */
export interface Operands {
  /** Full names, in the order of the operation's inputs; of a norm: scale, shift, running mean and variance. */
  readonly names: readonly string[];
  /** TensorFlow's name of the operation. */
  readonly operation: string;
  /** Of a norm: added to the variance. */
  readonly epsilon?: number;
}

export interface Traced {
  readonly graph: Graph;
  /** Value -> full name of the layer that gave it. */
  readonly layers: ReadonlyMap<string, string>;
  /** Value -> what its operation took; values of operations that took nothing are not there. */
  readonly operands: ReadonlyMap<string, Operands>;
}

/**
 * The graph of a model's logits for images [batch, size, size, 3], as the network sees them (normalised).
 *
 * @param layer as built, not `inPrecision`: a bfloat16 run is exported in float32
 * @throws TrainerError ERR_EXPORT for an operation that no format knows, ERR_BACKEND without TensorFlow
 */
export function trace(layer: Layer, weights: Weights, size: number): Traced {
  const two = record(layer, weights, [2, size, size, 3]);
  const three = record(layer, weights, [3, size, size, 3]);
  if (two.operations.length !== three.operations.length) {
    throw new TrainerError(
      "ERR_EXPORT",
      "This model cannot be exported: it computes something else for another batch size.",
    );
  }
  const translator = createTranslator(two, three, size);
  for (const place of two.operations.keys()) translator.translate(place);
  return { graph: translator.graph(), layers: two.layers, operands: translator.operands };
}

/** The graph of a network whose values do not matter: of zeros. */
export function structureOf(layer: Layer, size: number): Traced {
  const weights = zeroWeights(layer);
  try {
    return trace(layer, weights, size);
  } finally {
    tf.dispose([...weights.values()]);
  }
}

/** What an operation's translation works with. */
interface Context {
  readonly operation: Recorded;
  readonly attributes: Readonly<Record<string, any>>;
  readonly shape: readonly number[];
  readonly channels: number;
  /** The first input. */
  readonly x: string;
  /** An input by its place, as a value. */
  input(place: number): string;
  /** An input that is a constant of floats. */
  constant(place: number): Constant | undefined;
  /** An input that is a list of whole numbers. */
  integers(place: number): number[];
  fail(why: string): never;
}

function createTranslator(two: Recording, three: Recording, size: number) {
  const nodes: Node[] = [];
  const shapes = new Map<string, readonly number[]>([[inputName, [-1, size, size, 3]]]);
  const same = new Map<string, string>(); // a value that only passes on another one
  const pads = new Map<string, { x: string; pads: Pads; value: number }>();
  const folded = new Map<string, Constant>(); // constants in another shape
  const weightNames = new Map<string, string>(); // constant -> the weight that it is, in whatever shape
  for (const name of two.constants.keys()) {
    if (name.startsWith(weightPrefix)) weightNames.set(name, name.slice(weightPrefix.length));
  }
  const operands = new Map<string, Operands>();
  const valueOf = (name: string): string => same.get(name) ?? name;
  const constantOf = (name: string): Constant | undefined =>
    folded.get(name) ?? (two.constants.get(name) as Constant | undefined);

  function contextOf(place: number): Context {
    const operation = two.operations[place]!;
    const other = three.operations[place]!;
    const fail = (why: string): never => {
      const where = operation.after === "" ? "" : `, in or after the layer "${operation.after}"`;
      throw new TrainerError("ERR_EXPORT", `This model cannot be exported: ${operation.name}${where}: ${why}.`);
    };
    /** A number that is 2 at batch 2 and 3 at batch 3 is the batch. */
    const anyBatch = (a: readonly number[], b: readonly number[]): number[] =>
      a.map((each, at) =>
        each === b[at] ? each : each === 2 && b[at] === 3 ? -1 : fail(`a size of ${each} depends on the batch`),
      );
    // tf.js multiplies matrices as batches of one: [1, -1, k] is [-1, k].
    const plain = (shape: number[]): number[] =>
      shape.length === 3 && shape[0] === 1 && shape[1] === -1 ? shape.slice(1) : shape;
    if (operation.name !== other.name) fail("it is another operation for another batch size");
    if ([...operation.inputs, ...other.inputs].includes(undefined)) fail("it uses a tensor from outside the model");
    const inputs = operation.inputs as readonly string[];
    const constant = operation.name === "Reshape" && constantOf(inputs[0]!) !== undefined;
    const shape = constant ? operation.shape : plain(anyBatch(operation.shape, other.shape));
    return {
      operation,
      attributes: operation.attributes,
      shape,
      channels: shape.at(-1) ?? 1,
      x: valueOf(inputs[0]!),
      input: (at) => valueOf(inputs[at]!),
      constant: (at) => constantOf(inputs[at]!),
      integers(at) {
        const here = two.constants.get(inputs[at]!);
        const there = three.constants.get(other.inputs[at]!);
        if (!here || !there) return fail("a size is computed");
        return anyBatch([...here.data], [...there.data]);
      },
      fail,
    };
  }

  function translate(place: number): void {
    const context = contextOf(place);
    const { operation, attributes, shape, x, channels, fail } = context;
    const { name, out } = operation;
    shapes.set(out, shape);
    const names = operation.inputs.flatMap((input) => weightNames.get(input!) ?? []);
    if (names.length > 0) operands.set(out, { names, operation: name, epsilon: attributes.epsilon });
    const push = (node: Node): void => void nodes.push(node);
    const base = { out, activation: "none" } as const;
    switch (name) {
      case "Cast":
        if (attributes.SrcT !== attributes.DstT) fail("a change of type");
        same.set(out, x);
        return;
      case "Identity":
      case "EnsureShape":
      case "StopGradient":
      case "Snapshot":
        same.set(out, x);
        return;
      case "Pad":
      case "PadV2": {
        const [n0, n1, top, bottom, left, right, c0, c1] = context.integers(1);
        if (n0 || n1 || c0 || c1) fail("it pads the batch or the channels");
        const value = name === "Pad" ? 0 : context.constant(2)!.data[0]!;
        pads.set(out, { x, pads: [top!, left!, bottom!, right!], value });
        return;
      }
      case "Conv2D":
      case "DepthwiseConv2dNative": {
        const weight = context.constant(1) ?? fail("a filter that is computed");
        if ((attributes.dilations as number[] | undefined)?.some((each) => each !== 1)) fail("dilation");
        const stride = (attributes.strides as number[])[1]!;
        const before = pads.get(x);
        if (before && before.value !== 0) fail("a pad that is not zero");
        const source = before?.x ?? x;
        push({
          ...base,
          op: name === "Conv2D" ? "conv" : "depthwise",
          x: source,
          weight,
          bias: new Float64Array(channels),
          stride,
          pads: convolutionPads(attributes, shapes.get(source)!, shape, weight.shape, stride) ??
            before?.pads ?? [0, 0, 0, 0],
        });
        return;
      }
      case "FusedBatchNormV3": {
        if (attributes.is_training) fail("a norm that uses its batch");
        const [gamma, beta, mean, variance] = [1, 2, 3, 4].map(
          (at) => context.constant(at)?.data ?? fail("its values are computed"),
        );
        const scale = Float64Array.from(gamma!, (each, at) => each / Math.sqrt(variance![at]! + attributes.epsilon));
        push({ ...base, op: "affine", x, scale, shift: scale.map((each, at) => beta![at]! - mean![at]! * each) });
        return;
      }
      case "Add":
      case "AddV2":
      case "BiasAdd":
      case "Sub":
      case "Mul":
      case "RealDiv":
        push(arithmetic(name, context));
        return;
      case "Relu":
      case "Relu6":
      case "Sigmoid":
      case "Erf":
        push({ ...base, op: ({ Relu: "relu", Relu6: "relu6", Sigmoid: "sigmoid", Erf: "erf" } as const)[name], x });
        return;
      case "Mean": {
        const axes = context.integers(1);
        if (String(axes) !== "1,2") fail(`a mean over the axes ${axes}`);
        push({ ...base, op: "mean", x, keepDims: attributes.keep_dims as boolean });
        return;
      }
      case "MatMul":
      case "BatchMatMulV2": {
        const weight = context.constant(1) ?? fail("a product of two computed tensors");
        if (attributes.transpose_a || attributes.transpose_b || attributes.adj_x || attributes.adj_y)
          fail("transposed");
        const matrix = { shape: weight.shape.slice(-2), data: weight.data };
        push({ ...base, op: "dense", x, weight: matrix, bias: new Float64Array(channels) });
        return;
      }
      case "MaxPool": {
        if (attributes.padding !== "VALID") fail("padded by TensorFlow");
        const [, height, width] = attributes.ksize as number[];
        const [, down, right] = attributes.strides as number[];
        const before = pads.get(x);
        push({
          ...base,
          op: "max-pool",
          x: before?.x ?? x,
          size: [height!, width!],
          strides: [down!, right!],
          pads: before?.pads ?? [0, 0, 0, 0],
        });
        return;
      }
      case "Reshape": {
        const constant = context.constant(0);
        if (constant) {
          folded.set(out, { shape: [...operation.shape], data: constant.data });
          if (names.length > 0) weightNames.set(out, names[0]!);
          operands.delete(out);
        } else if (String(shapes.get(x)) === String(shape)) same.set(out, x);
        else push({ ...base, op: "reshape", x, shape });
        return;
      }
      default:
        fail("no format has this operation");
    }
  }

  return {
    translate,
    operands,
    graph: (): Graph => ({ input: inputName, output: valueOf(two.output), nodes, shapes }),
  };
}

/** The pads that a convolution adds by itself; undefined for none. */
function convolutionPads(
  attributes: Readonly<Record<string, any>>,
  [, height, width]: readonly number[],
  [, rows, columns]: readonly number[],
  [kernelHeight, kernelWidth]: readonly number[],
  stride: number,
): Pads | undefined {
  if (attributes.padding === "EXPLICIT") {
    const [, , top, bottom, left, right] = attributes.explicit_paddings as number[];
    return [top!, left!, bottom!, right!];
  }
  if (attributes.padding !== "SAME") return undefined;
  const down = Math.max((rows! - 1) * stride + kernelHeight! - height!, 0);
  const across = Math.max((columns! - 1) * stride + kernelWidth! - width!, 0);
  return [down >> 1, across >> 1, down - (down >> 1), across - (across >> 1)];
}

/** A sum or product of two values, or of a value and a constant per channel. */
function arithmetic(name: "Add" | "AddV2" | "BiasAdd" | "Sub" | "Mul" | "RealDiv", context: Context): Node {
  const { operation, channels, fail } = context;
  const base = { out: operation.out, activation: "none" } as const;
  const [first, second] = [context.constant(0), context.constant(1)];
  const ordered = name === "Sub" || name === "RealDiv";
  if (!first && !second) {
    if (ordered) fail("of two computed tensors");
    return { ...base, op: name === "Mul" ? "mul" : "add", a: context.x, b: context.input(1) };
  }
  if (first && ordered) fail("from a constant");
  const { data, shape } = (first ?? second)!;
  const vector =
    data.length === 1
      ? new Float64Array(channels).fill(data[0]!)
      : data.length === channels && shape.at(-1) === channels
        ? Float64Array.from(data)
        : fail(`a constant of shape [${shape}]`);
  const [ones, zeros] = [new Float64Array(channels).fill(1), new Float64Array(channels)];
  const x = first ? context.input(1) : context.x;
  switch (name) {
    case "Mul":
      return { ...base, op: "affine", x, scale: vector, shift: zeros };
    case "RealDiv":
      return { ...base, op: "affine", x, scale: vector.map((each) => 1 / each), shift: zeros };
    default:
      return { ...base, op: "affine", x, scale: ones, shift: name === "Sub" ? vector.map((each) => -each) : vector };
  }
}

/** Recorded operations of TensorFlow as those of a graph: a table with one small function for each. */
import { TrainerError } from "../errors.js";
import { type Constant, type Graph, inputsOf, type Node, type Pads } from "./graph.js";
import { inputName, type Recorded, type Recording, weightPrefix } from "./record.js";

/** What an operation took from the network's weights. */
export interface Operands {
  /** Full names, in the order of the operation's inputs; of a norm: scale, shift, running mean and variance. */
  readonly names: readonly string[];
  /** TensorFlow's name of the operation. */
  readonly operation: string;
  /** Of a norm: added to the variance. */
  readonly epsilon?: number;
}

/** Pads that the next operation takes into itself; `value` is what they are filled with. */
interface Pad {
  readonly op: "pad";
  readonly x: string;
  readonly pads: Pads;
  readonly value: number;
}

/** What an operation becomes: a node, its own input under another name, a pad, or its constant input in another shape. */
type Translated = Node | { readonly op: "same"; readonly x: string } | Pad | { readonly op: "constant" };

/** What an operation's translation works with. */
interface Context {
  readonly operation: Recorded;
  readonly attributes: Readonly<Record<string, any>>;
  readonly shape: readonly number[];
  readonly channels: number;
  /** What every node begins with. */
  readonly base: { readonly out: string; readonly activation: "none" };
  /** The first input. */
  readonly x: string;
  /** An input by its place, as a value. */
  input(place: number): string;
  /** An input that is a constant of floats. */
  constant(place: number): Constant | undefined;
  /** An input that is a list of whole numbers. */
  integers(place: number): number[];
  shapeOf(value: string): readonly number[];
  /** The pad that made a value, if one did. */
  padOf(value: string): Pad | undefined;
  fail(why: string): never;
}

/**
 * The graph of a recording, and what its operations took.
 *
 * @param two recorded with 2 images
 * @param three with 3: a number that is 2 there and 3 here is the batch
 * @throws TrainerError ERR_EXPORT for an operation that no format knows
 */
export function translate(
  two: Recording,
  three: Recording,
  size: number,
): { graph: Graph; operands: Map<string, Operands> } {
  const nodes: Node[] = [];
  const shapes = new Map<string, readonly number[]>([[inputName, [-1, size, size, 3]]]);
  const same = new Map<string, string>(); // a value that only passes on another one
  const pads = new Map<string, Pad>();
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
      base: { out: operation.out, activation: "none" },
      x: valueOf(inputs[0]!),
      input: (at) => valueOf(inputs[at]!),
      constant: (at) => constantOf(inputs[at]!),
      integers(at) {
        const here = two.constants.get(inputs[at]!);
        const there = three.constants.get(other.inputs[at]!);
        if (!here || !there) return fail("a size is computed");
        return anyBatch([...here.data], [...there.data]);
      },
      shapeOf: (value) => shapes.get(value)!,
      padOf: (value) => pads.get(value),
      fail,
    };
  }

  for (const place of two.operations.keys()) {
    const context = contextOf(place);
    const { operation, attributes, shape } = context;
    const { name, out } = operation;
    shapes.set(out, shape);
    const names = operation.inputs.flatMap((input) => weightNames.get(input!) ?? []);
    const found = translations[name]?.(context) ?? context.fail("no format has this operation");
    if (found.op === "constant") {
      folded.set(out, { shape: [...operation.shape], data: context.constant(0)!.data });
      if (names.length > 0) weightNames.set(out, names[0]!);
      continue;
    }
    const read = found.op === "same" ? [] : found.op === "pad" ? [found.x] : inputsOf(found);
    if (read.some((value) => pads.has(value))) {
      context.fail("it reads a padded value, which only a convolution or a max pool can");
    }
    if (names.length > 0) operands.set(out, { names, operation: name, epsilon: attributes.epsilon });
    if (found.op === "same") same.set(out, found.x);
    else if (found.op === "pad") pads.set(out, found);
    else nodes.push(found);
  }
  return { graph: { input: inputName, output: valueOf(two.output), nodes, shapes }, operands };
}

type Translation = (context: Context) => Translated;

const passedOn: Translation = ({ x }) => ({ op: "same", x });

const pad: Translation = ({ operation, x, integers, constant, fail }) => {
  const [n0, n1, top, bottom, left, right, c0, c1] = integers(1);
  if (n0 || n1 || c0 || c1) fail("it pads the batch or the channels");
  const value = operation.name === "Pad" ? 0 : constant(2)!.data[0]!;
  return { op: "pad", x, pads: [top!, left!, bottom!, right!], value };
};

const convolution: Translation = ({
  operation,
  base,
  attributes,
  shape,
  x,
  channels,
  constant,
  shapeOf,
  padOf,
  fail,
}) => {
  const weight = constant(1) ?? fail("a filter that is computed");
  if ((attributes.dilations as number[] | undefined)?.some((each) => each !== 1)) fail("dilation");
  const stride = (attributes.strides as number[])[1]!;
  const before = padOf(x);
  if (before && before.value !== 0) fail("a pad that is not zero");
  const own = convolutionPads(attributes, shapeOf(x), shape, weight.shape, stride);
  return {
    ...base,
    op: operation.name === "Conv2D" ? "conv" : "depthwise",
    x: before?.x ?? x,
    weight,
    bias: new Float64Array(channels),
    stride,
    pads: before ? (own.map((each, side) => each + before.pads[side]!) as unknown as Pads) : own,
  };
};

/** The pads that a convolution adds by itself. */
function convolutionPads(
  attributes: Readonly<Record<string, any>>,
  [, height, width]: readonly number[],
  [, rows, columns]: readonly number[],
  [kernelHeight, kernelWidth]: readonly number[],
  stride: number,
): Pads {
  if (attributes.padding === "EXPLICIT") {
    const [, , top, bottom, left, right] = attributes.explicit_paddings as number[];
    return [top!, left!, bottom!, right!];
  }
  if (attributes.padding !== "SAME") return [0, 0, 0, 0];
  const down = Math.max((rows! - 1) * stride + kernelHeight! - height!, 0);
  const across = Math.max((columns! - 1) * stride + kernelWidth! - width!, 0);
  return [down >> 1, across >> 1, down - (down >> 1), across - (across >> 1)];
}

const batchNorm: Translation = ({ base, attributes, x, constant, fail }) => {
  if (attributes.is_training) fail("a norm that uses its batch");
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((at) => constant(at)?.data ?? fail("its values are computed"));
  const scale = Float64Array.from(gamma!, (each, at) => each / Math.sqrt(variance![at]! + attributes.epsilon));
  return { ...base, op: "affine", x, scale, shift: scale.map((each, at) => beta![at]! - mean![at]! * each) };
};

/** A sum or product of two values, or of a value and a constant per channel. */
function arithmetic(context: Context): Node {
  const { base, channels, fail } = context;
  const { name } = context.operation;
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

const activation =
  (op: "relu" | "relu6" | "sigmoid" | "erf"): Translation =>
  ({ base, x }) => ({ ...base, op, x });

const mean: Translation = ({ base, attributes, x, integers, fail }) => {
  const axes = integers(1);
  if (String(axes) !== "1,2") fail(`a mean over the axes ${axes}`);
  return { ...base, op: "mean", x, keepDims: attributes.keep_dims as boolean };
};

const product: Translation = ({ base, attributes, x, channels, constant, fail }) => {
  const weight = constant(1) ?? fail("a product of two computed tensors");
  if (attributes.transpose_a || attributes.transpose_b || attributes.adj_x || attributes.adj_y) fail("transposed");
  const matrix = { shape: weight.shape.slice(-2), data: weight.data };
  return { ...base, op: "dense", x, weight: matrix, bias: new Float64Array(channels) };
};

const maxPool: Translation = ({ base, attributes, x, padOf, fail }) => {
  if (attributes.padding !== "VALID") fail("padded by TensorFlow");
  const [, height, width] = attributes.ksize as number[];
  const [, down, right] = attributes.strides as number[];
  const before = padOf(x);
  return {
    ...base,
    op: "max-pool",
    x: before?.x ?? x,
    size: [height!, width!],
    strides: [down!, right!],
    pads: before?.pads ?? [0, 0, 0, 0],
  };
};

/** By TensorFlow's name. */
const translations: Readonly<Record<string, Translation>> = {
  Cast: (context) =>
    context.attributes.SrcT === context.attributes.DstT ? passedOn(context) : context.fail("a change of type"),
  Identity: passedOn,
  EnsureShape: passedOn,
  StopGradient: passedOn,
  Snapshot: passedOn,
  Pad: pad,
  PadV2: pad,
  Conv2D: convolution,
  DepthwiseConv2dNative: convolution,
  FusedBatchNormV3: batchNorm,
  Add: arithmetic,
  AddV2: arithmetic,
  BiasAdd: arithmetic,
  Sub: arithmetic,
  Mul: arithmetic,
  RealDiv: arithmetic,
  Relu: activation("relu"),
  Relu6: activation("relu6"),
  Sigmoid: activation("sigmoid"),
  Erf: activation("erf"),
  Mean: mean,
  MatMul: product,
  BatchMatMulV2: product,
  MaxPool: maxPool,
  Reshape({ base, shape, x, constant, shapeOf }) {
    if (constant(0)) return { op: "constant" };
    return String(shapeOf(x)) === String(shape) ? { op: "same", x } : { ...base, op: "reshape", x, shape };
  },
};

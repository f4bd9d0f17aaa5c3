/**
 * Records the native calls of a function of tensors, so that it can run again as one graph, as tf.function does in
 * Python. The operations run as usual and are written down on the way.
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Attribute, NativeCalls, NativeConstants } from "./native-calls.js";
import { type AttributeValue, type GraphNode, savedModel } from "./saved-model.js";

/** Tensors by name. */
export type Tensors = Readonly<Record<string, tf.Tensor>>;

/** Makes random numbers, or others that change from call to call: in a graph they are fed. */
export type Draw = (name: string, shape: number[]) => tf.Tensor;

/** Receives the reason why a function cannot become a graph: the graph would freeze a value that it has just used. */
export type Reject = (reason: string) => void;

/** A function of tensors: its result depends on `inputs` and on the results of `draw` alone. */
export type Compute = (inputs: Tensors, draw: Draw, reject: Reject) => Tensors;

export interface Recording {
  /** The graph as a SavedModel. */
  readonly model: Uint8Array;
  /** Drawn in this order, after the inputs. */
  readonly draws: readonly { readonly name: string; readonly shape: number[] }[];
  /**
   * Numbers that the function makes itself. They are fed as well: TensorFlow computes with constants of a graph beforehand,
   * and turns x / 3 into x * (1 / 3), which has other bits.
   */
  readonly constants: readonly Constant[];
  /** The places of inputs and draws, and of each output, as `node:output`. */
  readonly feeds: readonly string[];
  readonly fetches: Readonly<Record<string, string>>;
  /** Why the function cannot become a graph. */
  readonly problem?: string;
  /** Two inputs were one value, so it is unknown which of them was used. The next recording may show it. */
  readonly aliased: boolean;
}

export interface Constant {
  readonly place: string;
  readonly shape: number[];
  readonly values: Float32Array;
}

/** The parts of tfjs-node's backend that turn tensors into ids and know what they are stored as. */
export interface Handles {
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  tensorMap: tf.DataStorage<{ dtype: number; id: number }>;
  /** Takes the values of a tensor that is made; they are uploaded when an operation first uses them. */
  write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId;
}

/** Runs `compute` on `inputs`, watching. Throws what `compute` throws. */
export function record(
  compute: Compute,
  inputs: Tensors,
  draw: Draw,
  { native, backend }: { native: NativeCalls & NativeConstants; backend: Handles },
): { outputs: Tensors; recording: Recording } {
  const nodes: GraphNode[] = [];
  const places = new Map<number, string>(); // id of a value -> node:output
  const constants: Constant[] = [];
  const draws: { name: string; shape: number[] }[] = [];
  const feeds: string[] = [];
  let problem: string | undefined;
  let aliased = false;
  const reject: Reject = (reason) => void (problem ??= reason);

  const add = (operation: string, from: readonly string[], attributes: GraphNode["attributes"]): string => {
    const name = `n${nodes.length}`;
    nodes.push({ name, operation, inputs: from, attributes });
    return name;
  };
  const fed = new Set<number>();
  let feeding = false; // an upload during it is a feed, not a constant
  const feed = (tensor: tf.Tensor): void => {
    feeding = true;
    const [id] = backend.getInputTensorIds([tensor]);
    feeding = false;
    aliased ||= fed.has(id!);
    fed.add(id!);
    const attributes = {
      dtype: typeAttribute(backend.tensorMap.get(tensor.dataId).dtype),
      shape: { kind: "shape", value: tensor.shape },
    } as const;
    const place = `${add("Placeholder", [], attributes)}:0`;
    places.set(id!, place);
    feeds.push(place);
  };
  const placeOf = (id: number, whose: string): string => {
    const place = places.get(id);
    if (place === undefined) reject(`${whose} uses a tensor that is neither an input nor made by it`);
    return place ?? "";
  };

  /**
   * A value behind an operation that does nothing: TensorFlow would fuse a convolution with a norm of given statistics after
   * it, and x with its sigmoid, to other bits.
   */
  const apart = (place: string, attributes: readonly Attribute[], shape: readonly number[]): string => {
    const type = attributes.find(({ name }) => name === "T")!.value as number;
    return `${add("EnsureShape", [place], { T: typeAttribute(type), shape: { kind: "shape", value: shape } })}:0`;
  };
  // A value that waits for its upload looks like a new one. Older values are recognised by their tensors.
  const made = new WeakSet<tf.DataId>();
  const { write, getInputTensorIds } = backend;
  backend.write = (...args) => {
    const dataId = write.apply(backend, args);
    made.add(dataId);
    return dataId;
  };
  backend.getInputTensorIds = (tensors) => {
    const old = tensors.find(({ dataId }) => !feeding && !made.has(dataId) && backend.tensorMap.get(dataId).id < 0);
    if (old) reject("it uses a tensor that is neither an input nor made by it");
    return getInputTensorIds.call(backend, tensors);
  };
  const { executeOp, createTensor, tensorDataSync } = native;
  native.executeOp = (name, attributes, ids, count) => {
    const outputs = executeOp(name, attributes, ids, count);
    const described = attributes.map((each) => [each.name, describe(each, native)] as const);
    const strange = described.find(([, value]) => value === undefined);
    if (strange) reject(`${name} has an attribute "${strange[0]}" of an unknown kind`);
    const from = ids.map((id) => placeOf(id, name));
    if (name === "FusedBatchNormV3" && attributes.some(isInference))
      from[0] = apart(from[0]!, attributes, outputs[0]!.shape);
    const node = add(name, from, Object.fromEntries(described) as GraphNode["attributes"]);
    outputs.forEach(({ id }, index) => places.set(id, `${node}:${index}`));
    if (name === "Sigmoid") places.set(outputs[0]!.id, apart(`${node}:0`, attributes, outputs[0]!.shape));
    return outputs;
  };
  native.createTensor = (shape, dtype, values) => {
    const id = createTensor(shape, dtype, values);
    if (feeding) return id;
    if (values instanceof Float32Array && dtype === native.TF_FLOAT) {
      const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
      const known = constants.find((each) => String(each.shape) === String(shape) && bytes.equals(bytesOf(each)));
      const place =
        known?.place ??
        `${add("Placeholder", [], { dtype: typeAttribute(dtype), shape: { kind: "shape", value: [...shape] } })}:0`;
      if (!known) constants.push({ place, shape: [...shape], values: values.slice() });
      places.set(id, place);
    } else if (ArrayBuffer.isView(values)) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
      const value = { kind: "tensor", dtype, shape: [...shape], bytes } as const;
      places.set(id, `${add("Const", [], { dtype: typeAttribute(dtype), value })}:0`);
    } else reject("it makes a tensor of strings");
    return id;
  };
  native.tensorDataSync = (id) => {
    if (places.has(id)) reject("it reads values back while it computes");
    return tensorDataSync(id);
  };
  try {
    for (const tensor of Object.values(inputs)) feed(tensor);
    const drawn: Draw = (name, shape) => {
      const tensor = draw(name, shape);
      draws.push({ name, shape: [...shape] });
      feed(tensor);
      return tensor;
    };
    const outputs = compute(inputs, drawn, reject);
    const fetches = Object.fromEntries(
      Object.entries(outputs).map(([name, tensor]) => {
        const [id] = backend.getInputTensorIds([tensor]);
        return [name, placeOf(id!, `output "${name}"`)];
      }),
    );
    const kept = needed(nodes, [...feeds, ...Object.values(fetches)]);
    const names = new Set(kept.map(({ name }) => name));
    const used = constants.filter(({ place }) => names.has(nodeOf(place)));
    return {
      outputs,
      recording: { model: savedModel(kept), constants: used, draws, feeds, fetches, problem, aliased },
    };
  } finally {
    Object.assign(native, { executeOp, createTensor, tensorDataSync });
    Object.assign(backend, { write, getInputTensorIds });
  }
}

/** Whether two recordings are of the same computation, to the byte. */
export function isSame(a: Recording, b: Recording): boolean {
  return (
    Buffer.compare(a.model, b.model) === 0 &&
    a.constants.length === b.constants.length &&
    // The places are in the model, and so are the shapes.
    a.constants.every((each, index) => bytesOf(each).equals(bytesOf(b.constants[index]!)))
  );
}

const bytesOf = ({ values }: Constant): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

const typeAttribute = (value: number): AttributeValue => ({ kind: "type", value });

const nodeOf = (place: string): string => place.slice(0, place.indexOf(":"));

/** The nodes that `places` are computed from, in their order. */
function needed(nodes: readonly GraphNode[], places: readonly string[]): GraphNode[] {
  const wanted = new Set(places.map(nodeOf));
  for (const { name, inputs } of [...nodes].reverse()) {
    if (wanted.has(name)) for (const input of inputs) wanted.add(nodeOf(input));
  }
  return nodes.filter(({ name }) => wanted.has(name));
}

const isInference = ({ name, value }: Attribute): boolean => name === "is_training" && value === false;

/** An attribute as the addon takes it, as a graph holds it; undefined for a kind that no operation here has. */
function describe({ type, value }: Attribute, constants: NativeConstants): AttributeValue | undefined {
  const list = Array.isArray(value);
  switch (type) {
    case constants.TF_ATTR_TYPE:
      return list ? undefined : typeAttribute(value as number);
    case constants.TF_ATTR_SHAPE:
      return list && value.every((size) => typeof size === "number") ? { kind: "shape", value } : undefined;
    case constants.TF_ATTR_STRING:
      return list ? undefined : { kind: "string", value: value as string };
    case constants.TF_ATTR_BOOL:
      return list ? { kind: "bools", value } : { kind: "bool", value: value as boolean };
    case constants.TF_ATTR_FLOAT:
      return list ? { kind: "floats", value } : { kind: "float", value: value as number };
    case constants.TF_ATTR_INT:
      return list ? { kind: "ints", value } : { kind: "int", value: value as number };
    default:
      return undefined;
  }
}

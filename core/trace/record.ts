/** Runs a model once and writes down its calls of TensorFlow's addon. */
import * as tf from "@tensorflow/tfjs-core";
import { currentNativeCalls } from "../backend/graph/native-calls.js";
import { TrainerError } from "../errors.js";
import { forward, type Layer, type Weights } from "../nn/layer.js";

export interface Recorded {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Values, by name; undefined for one that was made before the recording. */
  readonly inputs: readonly (string | undefined)[];
  readonly out: string;
  readonly shape: readonly number[];
  /** Full name of the last layer that was finished before it. */
  readonly after: string;
}

export interface Recording {
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

export const inputName = "image";
export const weightPrefix = "weight/";

/** Runs the model on zeros of a shape and writes down every call. */
export function record(layer: Layer, weights: Weights, shape: number[]): Recording {
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

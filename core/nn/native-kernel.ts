/** TensorFlow's own operations as tf.js kernels: one native call forward, and one for each gradient that is needed. */
import * as tf from "@tensorflow/tfjs-core";
import type { NativeConstants } from "../backend/graph/native-calls.js";

type Attribute = { name: string; type: number; value: unknown };

/** The part of tfjs-node's backend that runs a TensorFlow operation by name. */
export interface NativeBackend {
  binding: NativeConstants;
  executeMultipleOutputs(name: string, attributes: Attribute[], inputs: tf.TensorInfo[], outputs: number): tf.Tensor[];
}

export const onTensorflow = (): boolean => tf.getBackend() === "tensorflow";

/** Runs a TensorFlow operation of float32 tensors. The kind of an attribute follows from its value; see `Float`. */
export function execute(
  backend: NativeBackend,
  operation: string,
  inputs: tf.TensorInfo[],
  attributes: Record<string, unknown> = {},
  outputs = 1,
): tf.Tensor[] {
  const { binding } = backend;
  const list: Attribute[] = [{ name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT }];
  for (const [name, value] of Object.entries(attributes)) {
    if (value instanceof Type) list.push({ name, type: binding.TF_ATTR_TYPE, value: binding[value.key] });
    else if (value instanceof Float) list.push({ name, type: binding.TF_ATTR_FLOAT, value: value.value });
    else if (typeof value === "boolean") list.push({ name, type: binding.TF_ATTR_BOOL, value });
    else if (typeof value === "string") list.push({ name, type: binding.TF_ATTR_STRING, value });
    else list.push({ name, type: binding.TF_ATTR_INT, value });
  }
  return backend.executeMultipleOutputs(operation, list, inputs, outputs);
}

/** An attribute that is a float although its value may be a whole number. */
export class Float {
  constructor(readonly value: number) {}
}

/** An attribute that names an element type. */
export class Type {
  constructor(readonly key: "TF_FLOAT" | "TF_INT32") {}
}

/**
 * Registers a kernel of our own on TensorFlow with a lazy gradient: each part is computed only when it is needed.
 *
 * @param saves which inputs and outputs the gradient needs
 * @returns a function that runs the kernel on the tape
 */
export function defineNative(
  name: string,
  saves: { inputs?: string[]; outputs?: boolean[] },
  kernel: (backend: NativeBackend, inputs: tf.NamedTensorInfoMap, attributes: tf.NamedAttrMap) => tf.Tensor[],
  gradient: (
    backend: NativeBackend,
    dys: tf.Tensor[],
    saved: tf.Tensor[],
    attributes: tf.NamedAttrMap,
  ) => Record<string, () => tf.Tensor>,
): (inputs: Record<string, tf.Tensor>, attributes?: tf.NamedAttrMap) => tf.Tensor[] {
  const kernelName = `fitloop.${name}`;
  tf.registerKernel({
    kernelName,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend, attrs }) => kernel(backend as NativeBackend, inputs, attrs ?? {}),
  });
  tf.registerGradient({
    kernelName,
    inputsToSave: saves.inputs ?? [],
    outputsToSave: saves.outputs ?? [],
    gradFunc: (dy, saved, attributes) => {
      // Native calls are on no tape: a second derivative would be missing in silence.
      if (tf.engine().state.gradientDepth > 0)
        throw new Error(`${name} has no second derivative; tf.js' own operations do.`);
      return gradient(tf.backend() as unknown as NativeBackend, Array.isArray(dy) ? dy : [dy], saved, attributes);
    },
  });
  return (inputs, attributes = {}) => {
    const result = tf.engine().runKernel(kernelName, inputs, attributes) as tf.Tensor | tf.Tensor[];
    return Array.isArray(result) ? result : [result];
  };
}

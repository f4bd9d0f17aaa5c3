/** The precision of a network's activations. */
import * as tf from "@tensorflow/tfjs-core";
import { castAttributes, isBfloat16 } from "../backend/bfloat16.js";
import { defineNative, type NativeBackend } from "./native-kernel.js";

/** How activations are stored, and convolutions computed. */
export type Precision = "float32" | "bfloat16";

const cast = (x: tf.TensorInfo, down: boolean): tf.Tensor => {
  const backend = tf.backend() as unknown as NativeBackend;
  return backend.executeMultipleOutputs("Cast", castAttributes(backend.binding, down), [x], 1)[0]!;
};

const nativeToBfloat16 = defineNative(
  "ToBfloat16",
  {},
  (_, { x }) => [cast(x!, true)],
  // What was rounded is a float32 parameter or image, and so is its gradient.
  (_, [dy]) => ({ x: () => (isBfloat16(dy!) ? cast(dy!, false) : dy!.clone()) }),
);

/** Stored as bfloat16: 8 bits of float32's 24, the same range. tf.js takes it for float32 (core/backend/bfloat16.ts). */
export function toBfloat16(x: tf.Tensor): tf.Tensor {
  return isBfloat16(x) ? x : nativeToBfloat16({ x })[0]!;
}

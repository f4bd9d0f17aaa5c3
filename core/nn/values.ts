/** Values of a tensor, out of a tidy. */
import * as tf from "@tensorflow/tfjs-core";

/**
 * The values of a tensor that `make` gives; whatever it made is freed. A tidy that returns the values themselves looks into each
 * of them for a tensor, which takes longer than to read them.
 */
export function valuesOf(make: () => tf.Tensor): Float32Array {
  const tensor = tf.tidy(make);
  try {
    return tensor.dataSync() as Float32Array;
  } finally {
    tensor.dispose();
  }
}

/**
 * Many small vectors as one long one. A network has dozens of norms with a few hundred numbers each, and calling an
 * operation costs more than adding that many numbers: joined, they cost what one parameter costs.
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * Runs an element-by-element function over columns of vectors.
 *
 * @param columns each a list of vectors; the n-th vectors of all columns have one size
 * @param compute from joined columns to joined results; must treat every number alone
 * @returns the results, each cut into vectors of the same sizes
 */
export function computeJoined(
  columns: readonly (readonly tf.Tensor[])[],
  compute: (joined: tf.Tensor[]) => tf.Tensor[],
): tf.Tensor[][] {
  const vectors = columns[0]!;
  if (vectors.length === 1) return compute(columns.map(([only]) => only!)).map((result) => [result]);
  const sizes = vectors.map(({ size }) => size);
  const joined = columns.map((column) => tf.concat(column as tf.Tensor1D[]));
  return compute(joined).map((result) => tf.split(result, sizes));
}

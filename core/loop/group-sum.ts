/** The sum of a micro-batch over the processes that train together. */
import * as tf from "@tensorflow/tfjs-core";
import type { Compute, Draw, Tensors } from "../backend/graph/recorder.js";
import * as ops from "../nn/ops.js";
import { under } from "./captured.js";
import type { StepContext } from "./state.js";

/** What processes sum: the loss, running statistics and gradients, each process' mean times its share. */
const summedOf = (passes: Tensors): [name: string, value: tf.Tensor][] =>
  Object.entries(passes).filter(([name]) => name === "loss" || /^(buffer|gradient)\//.test(name));

/** What a process sends: all that is summed in one vector, times its share of the whole batch. */
export function messageOf(passes: Tensors, share: tf.Tensor): tf.Tensor {
  const vectors = summedOf(passes).map(([, each]) => tf.reshape(each, [-1]) as tf.Tensor1D);
  return tf.mul(tf.concat(vectors), share);
}

/**
 * The same figures of the whole batch: one message, then apart again. NaN and infinity in one process are in all sums, so
 * what is decided about them is decided alike. `counts` are summed as they are.
 *
 * @param own what `forwardAndBackward` gave in this process, its `message` included
 */
export function sumOverGroup(
  { group, capture }: Pick<StepContext, "group" | "capture">,
  own: Tensors,
  counts: readonly number[],
  draw: Draw,
): Tensors {
  const layout = summedOf(own).map(([name, { shape, size }]) => ({ name, shape, size }));
  const apart: Compute = ({ sum }) => {
    const vectors = tf.split(sum!, [...layout.map(({ size }) => size), counts.length]);
    const parts = Object.fromEntries(layout.map(({ name, shape }, at) => [name, tf.reshape(vectors[at]!, shape)]));
    const buffers = [...under("buffer/", parts).values()];
    return { ...parts, counts: vectors.at(-1)!, squares: ops.squaredNorm(buffers) };
  };
  const sum = group.sum(tf.concat([own.message as tf.Tensor1D, tf.tensor1d([...counts])]));
  return capture.run("sum of the processes", apart, { sum }, draw);
}

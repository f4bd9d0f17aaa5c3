/**
 * Shared by the functions of tensors that a step may run as graphs: tensors named by kind, such as "gradient/conv1.weight",
 * and the step as taps in a graph see it.
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Reject, Tensors } from "../backend/graph/recorder.js";
import type { Step } from "./types.js";

/** Names with a prefix in front, and the values whose names have one, without it. */
export const prefixed = (prefix: string, values: Iterable<readonly [string, tf.Tensor]>): Tensors =>
  Object.fromEntries([...values].map(([name, value]) => [prefix + name, value]));
export const under = (prefix: string, values: Tensors): Map<string, tf.Tensor> =>
  new Map(
    Object.entries(values).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );

export const numberIn = (scalar: tf.Tensor): number => (scalar.dataSync() as Float32Array)[0]!;

/** What differs from step to step, and what of a batch is no tensor. */
const changing = ["step", "share", "microBatch", "batchInEpoch", "loss", "learningRate"] as const;
const changingOfBatch = ["labels", "indices"] as const;

/**
 * A step as taps in a graph see it. A tap that reads a per-step number cannot be captured: the graph would freeze it. The
 * epoch may be read, because computations are recorded again at its beginning.
 */
export function watched(step: Step, reject: Reject): Step {
  const guard = <T extends object>(what: T, names: readonly (keyof T & string)[], whose: string): T =>
    Object.defineProperties(
      { ...what },
      Object.fromEntries(
        names
          .filter((name) => what[name] !== undefined)
          .map((name) => [
            name,
            {
              enumerable: true,
              get: () => (reject(`it looks at ${whose} ${name}`), what[name]),
            },
          ]),
      ),
    );
  const batch = step.batch && guard(step.batch, changingOfBatch, "the batch's");
  return guard({ ...step, batch }, changing, "the step's");
}

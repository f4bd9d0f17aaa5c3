/** A run that is well but for one fault. */
import * as tf from "@tensorflow/tfjs-core";
import type { Plugin } from "../../core/index.js";

/** A plugin that makes the loss NaN the first time that a micro-batch comes; `faults` counts how often that was asked. */
export function nanOnce(at: number): { plugin: Plugin; faults(): number } {
  let faults = 0;
  const plugin: Plugin = {
    name: "once",
    options: {},
    apply: ({ hooks }) =>
      hooks.afterLoss.tap((loss, { microBatch }) =>
        microBatch === at && faults++ === 0 ? (tf.mul(loss, Number.NaN) as tf.Scalar) : loss,
      ),
  };
  return { plugin, faults: () => faults };
}

/** Lookahead (Zhang et al. 2019): slow weights take a step towards the fast ones, which start again from there. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  every: z.int().positive().default(5).describe("optimizer steps between two synchronisations (the paper's k)"),
  alpha: z.number().min(0).max(1).default(0.5).describe("step size of the slow weights; 1 does nothing"),
});

/** slow + alpha · (fast - slow): algorithm 1. */
export function interpolated(slow: tf.Tensor, fast: tf.Tensor, alpha: tf.Tensor): tf.Tensor {
  return tf.add(slow, tf.mul(tf.sub(fast, slow), alpha));
}

export const lookahead = definePlugin({
  name: "lookahead",
  summary: "Slow weights that follow the optimizer's every few steps",
  options,
  apply({ every, alpha }, { hooks }) {
    // With alpha 1 the slow weights would be the fast ones, but for rounding.
    const due = (step: number): boolean => alpha < 1 && (step + 1) % every === 0;
    const owned = {
      state: (weights: ReadonlyMap<string, tf.Tensor>) => (alpha < 1 ? weights : new Map<string, tf.Tensor>()),
      numbers: ({ step }: { step: number }) => (due(step) ? { alpha } : undefined),
    };
    hooks.afterStep.tap(owned, (weights, { updated, state, numbers, setState }) => {
      const next = new Map(weights);
      for (const name of updated) {
        const slow = interpolated(state.get(name)!, weights.get(name)!, numbers.alpha!);
        setState(name, slow);
        next.set(name, slow);
      }
      return next;
    });
  },
});

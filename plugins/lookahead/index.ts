/** Lookahead (Zhang et al. 2019): slow weights take a step towards the fast ones, which start again from there. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Progress } from "../../core/index.js";

const options = z.strictObject({
  every: z.int().positive().default(5).describe("optimizer steps between two synchronisations (the paper's k)"),
  alpha: z.number().min(0).max(1).default(0.5).describe("step size of the slow weights; 1 does nothing"),
  endAlpha: z.number().min(0).max(1).optional().describe("step size at the end of the run; default: alpha"),
  power: z.number().positive().default(3).describe("alpha moves to endAlpha with this power of the run's progress"),
  endSlow: z.boolean().default(false).describe("the run ends with the slow weights, also between synchronisations"),
});
type Options = z.output<typeof options>;

/**
 * The step size after a step (from 0) of the run, undefined where it does not synchronise:
 * alpha + (endAlpha - alpha) · ((step + 1) / steps) ^ power.
 */
export function alphaAt(step: number, steps: number, given: Options): number | undefined {
  const { every, alpha, endAlpha = alpha, power, endSlow } = given;
  const done = step + 1;
  if (done % every === 0) return alpha + (endAlpha - alpha) * (done / steps) ** power;
  return endSlow && done === steps ? 0 : undefined;
}

/** slow + alpha · (fast - slow): algorithm 1. */
export function interpolated(slow: tf.Tensor, fast: tf.Tensor, alpha: tf.Tensor): tf.Tensor {
  return tf.add(slow, tf.mul(tf.sub(fast, slow), alpha));
}

export const lookahead = definePlugin({
  name: "lookahead",
  summary: "Slow weights that follow the optimizer's every few steps",
  options,
  apply(given, { hooks }) {
    // With alpha 1 throughout the slow weights would be the fast ones, but for rounding.
    const idle = given.alpha === 1 && (given.endAlpha ?? 1) === 1;
    const owned = {
      state: (weights: ReadonlyMap<string, tf.Tensor>) => (idle ? new Map<string, tf.Tensor>() : weights),
      numbers({ step, totalSteps }: Progress) {
        const alpha = idle ? undefined : alphaAt(step, totalSteps, given);
        return alpha === undefined ? undefined : { alpha };
      },
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

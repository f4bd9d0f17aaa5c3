/** Losses for `loss` of a config: functions of logits and of targets that are distributions. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { partFactory } from "../parts.js";
import { softCrossEntropy } from "./ops.js";

export interface Loss {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * The mean over a batch: `logits` and `targets` [batch, classes] -> a scalar. A function of tensors alone, differentiable by
   * the logits, and linear in the targets: smoothed and mixed labels are distributions.
   */
  compute(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor;
}

const crossEntropy = partFactory("loss", "cross-entropy", z.strictObject({}), (options): Loss => {
  return { name: "cross-entropy", options, compute: softCrossEntropy };
});

/**
 * Focal loss (Lin et al. 2017) for distributions: the mean of -Σ t (1 - p)^gamma log p. Gamma 0 is cross entropy.
 * With s = (1 - p), the gradient by log p is g = -t (s^gamma - gamma s^(gamma - 1) p log p), and by the logits g - p Σ g.
 */
export function focalLoss(logits: tf.Tensor, targets: tf.Tensor, gamma: number): tf.Tensor {
  if (gamma === 0) return softCrossEntropy(logits, targets);
  const loss = tf.customGrad((...args) => {
    const [z, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const logP = tf.logSoftmax(z);
    save([logP, targets]);
    const batch = z.shape[0]!;
    const rest = tf.maximum(tf.sub(1, tf.exp(logP)), 0);
    return {
      value: tf.div(tf.sum(tf.mul(tf.mul(tf.pow(rest, gamma), logP), targets)), -batch),
      gradFunc: (dy, saved) => {
        const [logQ, wanted] = saved as [tf.Tensor, tf.Tensor];
        const p = tf.exp(logQ);
        const s = tf.maximum(tf.sub(1, p), 1e-7); // a power below 0 of nothing would be infinite
        const slope = tf.mul(tf.mul(tf.pow(s, gamma - 1), tf.mul(p, logQ)), gamma);
        const g = tf.mul(wanted, tf.sub(slope, tf.pow(s, gamma)));
        return tf.mul(tf.sub(g, tf.mul(p, tf.sum(g, 1, true))), tf.div(dy, batch));
      },
    };
  });
  return loss(logits);
}

const focalOptions = z.strictObject({
  gamma: z.number().min(0).default(2).describe("how much less easy images count; 0 is cross entropy"),
});

const focal = partFactory("loss", "focal", focalOptions, (options): Loss => {
  const { gamma } = options;
  return { name: "focal", options, compute: (logits, targets) => focalLoss(logits, targets, gamma) };
});

/** The losses for `loss` of a config. */
export const losses = { crossEntropy, focal } as const;

/** Losses by name, for records that name one. */
export const lossesByName = { "cross-entropy": crossEntropy, focal } as const;

/**
 * Optimizers as pure functions of tensors: (value, gradient, slots) -> (value, slots), with state kept by the
 * parameter's name. Stock tf.js optimizers keep it by position, so that a frozen layer gets another one's momentum.
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { parseOptions } from "../options.js";

export interface UpdateContext {
  /** Learning rate of the parameter's group at this step. */
  rate: number;
  /** Updates of this parameter including this one, from 1. */
  count: number;
  /** Whether the group decays. */
  decays: boolean;
}

export interface Optimizer {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Names of the state kept for each parameter, each of the parameter's shape and zero at first. */
  readonly slots: readonly string[];
  /** Decoupled weight decay in force, 0 for none: two owners of decay are a mistake that composition refuses. */
  readonly weightDecay: number;
  /**
   * One update; returns the next value and slots, in the order of `slots`. Runs inside a tidy. Must treat every number
   * alone: vectors of one group are joined into one call.
   */
  update(value: tf.Tensor, gradient: tf.Tensor, slots: tf.Tensor[], context: UpdateContext): [tf.Tensor, tf.Tensor[]];
}

const sgdOptions = z.strictObject({
  momentum: z.number().min(0).lt(1).default(0.9).describe("share of the last step that goes on"),
  nesterov: z.boolean().default(false).describe("look ahead by one momentum step"),
  weightDecay: z.number().min(0).default(0).describe("decoupled: value *= 1 - rate * decay"),
});

/**
 * Stochastic gradient descent as PyTorch's: v = m v + g; w -= rate v, or w -= rate (g + m v) with Nesterov.
 * Coupled decay is the `l2` plugin's; `weightDecay` here is decoupled (Loshchilov and Hutter 2019).
 */
export function sgd(options: z.input<typeof sgdOptions> = {}): Optimizer {
  const { momentum, nesterov, weightDecay } = parseOptions("optimizer sgd", sgdOptions, options);
  return {
    name: "sgd",
    options: { momentum, nesterov, weightDecay },
    slots: momentum > 0 ? ["momentum"] : [],
    weightDecay,
    update(value, gradient, [velocity], { rate, decays }) {
      const decayed = decays && weightDecay > 0 ? tf.mul(value, 1 - rate * weightDecay) : value;
      if (!velocity) return [tf.sub(decayed, tf.mul(gradient, rate)), []];
      const next = tf.add(tf.mul(velocity, momentum), gradient);
      const direction = nesterov ? tf.add(tf.mul(next, momentum), gradient) : next;
      return [tf.sub(decayed, tf.mul(direction, rate)), [next]];
    },
  };
}

const adamwOptions = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9).describe("memory of the gradient's mean"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("memory of the gradient's square"),
  epsilon: z.number().positive().default(1e-8).describe("added to the root, outside it"),
  weightDecay: z.number().min(0).default(0.01).describe("decoupled: value *= 1 - rate * decay"),
});

/** AdamW (Loshchilov and Hutter 2019) with PyTorch's placing of epsilon. */
export function adamw(options: z.input<typeof adamwOptions> = {}): Optimizer {
  const { beta1, beta2, epsilon, weightDecay } = parseOptions("optimizer adamw", adamwOptions, options);
  return {
    name: "adamw",
    options: { beta1, beta2, epsilon, weightDecay },
    slots: ["mean", "square"],
    weightDecay,
    update(value, gradient, [mean, square], { rate, count, decays }) {
      const decayed = decays && weightDecay > 0 ? tf.mul(value, 1 - rate * weightDecay) : value;
      const nextMean = tf.add(tf.mul(mean!, beta1), tf.mul(gradient, 1 - beta1));
      const nextSquare = tf.add(tf.mul(square!, beta2), tf.mul(tf.square(gradient), 1 - beta2));
      const root = tf.add(tf.div(tf.sqrt(nextSquare), Math.sqrt(1 - beta2 ** count)), epsilon);
      const step = tf.mul(tf.div(nextMean, root), rate / (1 - beta1 ** count));
      return [tf.sub(decayed, step), [nextMean, nextSquare]];
    },
  };
}

/** Optimizers by name, for records that name one. */
export const optimizers = { sgd, adamw } as const;

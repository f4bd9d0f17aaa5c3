/**
 * Optimizers as pure functions of tensors: (value, gradient, slots) -> (value, slots), with state kept by the
 * parameter's name. Stock tf.js optimizers keep it by position, so that a frozen layer gets another one's momentum.
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { partFactory } from "../parts.js";

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
  /** The numbers of an update that are not the same at every step and in every group, under names of their own. */
  factors(context: UpdateContext): Readonly<Record<string, number>>;
  /**
   * One update; returns the next value and slots, in the order of `slots`. A function of tensors alone, with the factors
   * as scalars: it may be recorded and run as one graph. Must treat every number alone: vectors of one group are joined
   * into one call.
   */
  update(value: tf.Tensor, gradient: tf.Tensor, slots: tf.Tensor[], factors: Factors): [tf.Tensor, tf.Tensor[]];
}

export type Factors = Readonly<Record<string, tf.Scalar>>;

const sgdOptions = z.strictObject({
  momentum: z.number().min(0).lt(1).default(0.9).describe("share of the last step that is kept"),
  nesterov: z.boolean().default(false).describe("Nesterov momentum: the gradient one momentum step ahead"),
  weightDecay: z.number().min(0).default(0).describe("decoupled: value *= 1 - rate * decay"),
});

/**
 * Stochastic gradient descent as PyTorch's: v = m v + g; w -= rate v, or w -= rate (g + m v) with Nesterov.
 * Coupled decay is the `l2` plugin's; `weightDecay` here is decoupled (Loshchilov and Hutter 2019).
 */
export const sgd = partFactory("optimizer", "sgd", sgdOptions, (options): Optimizer => {
  const { momentum, nesterov, weightDecay } = options;
  return {
    name: "sgd",
    options: { momentum, nesterov, weightDecay },
    slots: momentum > 0 ? ["momentum"] : [],
    weightDecay,
    factors: ({ rate, decays }) => ({ rate, ...shrinking(rate, decays ? weightDecay : 0) }),
    update(value, gradient, [velocity], { rate, shrink }) {
      const decayed = shrink ? tf.mul(value, shrink) : value;
      if (!velocity) return [tf.sub(decayed, tf.mul(gradient, rate!)), []];
      const next = tf.add(tf.mul(velocity, momentum), gradient);
      const direction = nesterov ? tf.add(tf.mul(next, momentum), gradient) : next;
      return [tf.sub(decayed, tf.mul(direction, rate!)), [next]];
    },
  };
});

/** Decoupled decay (Loshchilov and Hutter 2019) as a factor of the value; none where nothing decays. */
const shrinking = (rate: number, decay: number): { shrink?: number } => (decay > 0 ? { shrink: 1 - rate * decay } : {});

const adamwOptions = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the average of gradients"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the average of squared gradients"),
  epsilon: z.number().positive().default(1e-8).describe("added to the square root"),
  weightDecay: z.number().min(0).default(0.01).describe("decoupled: value *= 1 - rate * decay"),
});

/** AdamW (Loshchilov and Hutter 2019) with PyTorch's placing of epsilon. */
export const adamw = partFactory("optimizer", "adamw", adamwOptions, (options): Optimizer => {
  const { beta1, beta2, epsilon, weightDecay } = options;
  return {
    name: "adamw",
    options: { beta1, beta2, epsilon, weightDecay },
    slots: ["mean", "square"],
    weightDecay,
    factors: ({ rate, count, decays }) => ({
      rate: rate / (1 - beta1 ** count),
      root: Math.sqrt(1 - beta2 ** count),
      ...shrinking(rate, decays ? weightDecay : 0),
    }),
    update(value, gradient, [mean, square], { rate, root, shrink }) {
      const decayed = shrink ? tf.mul(value, shrink) : value;
      const nextMean = tf.add(tf.mul(mean!, beta1), tf.mul(gradient, 1 - beta1));
      const nextSquare = tf.add(tf.mul(square!, beta2), tf.mul(tf.square(gradient), 1 - beta2));
      const deviation = tf.add(tf.div(tf.sqrt(nextSquare), root!), epsilon);
      return [tf.sub(decayed, tf.mul(tf.div(nextMean, deviation), rate!)), [nextMean, nextSquare]];
    },
  };
});

/** Optimizers by name, for records that name one. */
export const optimizers = { sgd, adamw } as const;

/**
 * Optimizers as pure functions of tensors: (value, gradient, slots) -> (value, slots), with state kept by the
 * parameter's name. Stock tf.js optimizers keep it by position, so that a frozen layer gets another one's momentum.
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { partFactory } from "../parts.js";
import { type Layout, namedParameters } from "./layer.js";
import type { Model } from "./model.js";

export interface UpdateContext {
  /** Learning rate of the parameter's group at this step. */
  rate: number;
  /** Updates of this parameter including this one, from 1. */
  count: number;
  /** Multiplies weight decay: 1 for kernels, 0 for norms and biases unless a plugin says otherwise. */
  decayFactor: number;
}

/** How parameters are updated. */
export interface UpdateRule {
  /** Names of the state kept for each parameter, each of the parameter's shape and zero at first. */
  readonly slots: readonly string[];
  /** Whether `update` must see a parameter as a whole, in its shape; otherwise vectors of one group are joined. */
  readonly whole?: boolean;
  /** The numbers of an update that are not the same at every step and in every group, under names of their own. */
  factors(context: UpdateContext): Readonly<Record<string, number>>;
  /**
   * One update; returns the next value and slots, in the order of `slots`. A function of tensors alone, with the factors
   * as scalars: it may be recorded and run as one graph. Must treat every number alone, unless it is `whole`.
   */
  update(value: tf.Tensor, gradient: tf.Tensor, slots: tf.Tensor[], factors: Factors): [tf.Tensor, tf.Tensor[]];
}

export type Factors = Readonly<Record<string, tf.Scalar>>;

/** A parameter as an optimizer sees it when it chooses a rule. */
export interface ParameterInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly layout: Layout;
  /** Place of its stage in the model, from 0 at the input to `stages` - 1, the classifier. */
  readonly stage: number;
  readonly stages: number;
}

/** A rule for all parameters, or for those that `ruleFor` does not give another one. */
export interface Optimizer extends UpdateRule {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Decoupled weight decay in force, 0 for none: two owners of decay are a mistake that composition refuses. */
  readonly weightDecay: number;
  /** The rule of a parameter that is not updated as the others are. Asked once, before the first step. */
  ruleFor?(parameter: ParameterInfo): UpdateRule | undefined;
}

/** Parameter -> its rule. */
export type UpdateRules = ReadonlyMap<string, UpdateRule>;

export function updateRules(model: Model, optimizer: Optimizer): UpdateRules {
  const stages = model.stages.length;
  return new Map(
    [...namedParameters(model.layer)].map(([name, { shape, layout }]) => {
      const stage = model.stages.findIndex((parts) => parts.some((part) => name.startsWith(`${part}.`)));
      return [name, optimizer.ruleFor?.({ name, shape, layout, stage, stages }) ?? optimizer];
    }),
  );
}

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
    factors: ({ rate, decayFactor }) => ({ rate, ...shrinking(rate, weightDecay * decayFactor) }),
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
export const shrinking = (rate: number, decay: number): { shrink?: number } =>
  decay > 0 ? { shrink: 1 - rate * decay } : {};

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
    factors: ({ rate, count, decayFactor }) => ({
      rate: rate / (1 - beta1 ** count),
      root: Math.sqrt(1 - beta2 ** count),
      ...shrinking(rate, weightDecay * decayFactor),
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

const lionOptions = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9).describe("share of the momentum in a step's direction"),
  beta2: z.number().min(0).lt(1).default(0.99).describe("memory of the momentum"),
  weightDecay: z.number().min(0).default(0).describe("decoupled: value *= 1 - rate * decay"),
});

/** Lion (Chen et al. 2023): each number moves by the rate, in the direction of its momentum's sign. */
export const lion = partFactory("optimizer", "lion", lionOptions, (options): Optimizer => {
  const { beta1, beta2, weightDecay } = options;
  return {
    name: "lion",
    options: { beta1, beta2, weightDecay },
    slots: ["momentum"],
    weightDecay,
    factors: ({ rate, decayFactor }) => ({ rate, ...shrinking(rate, weightDecay * decayFactor) }),
    update(value, gradient, [momentum], { rate, shrink }) {
      const decayed = shrink ? tf.mul(value, shrink) : value;
      const mixed = tf.add(tf.mul(momentum!, beta1), tf.mul(gradient, 1 - beta1));
      // Not tf.sign, which is wrong for tiny numbers on wasm.
      const direction = tf.sub(tf.cast(tf.greater(mixed, 0), "float32"), tf.cast(tf.less(mixed, 0), "float32"));
      const next = tf.add(tf.mul(momentum!, beta2), tf.mul(gradient, 1 - beta2));
      return [tf.sub(decayed, tf.mul(direction, rate!)), [next]];
    },
  };
});

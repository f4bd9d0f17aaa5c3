/**
 * Muon (Jordan et al. 2024): the momentum of a kernel, made orthogonal by a Newton-Schulz iteration, is its step. Every
 * direction of the kernel then moves about as far, where SGD moves along the few strongest ones.
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { makePart, partFactory } from "../parts.js";
import { adamw, type Optimizer, type ParameterInfo, sgd, shrinking, type UpdateRule } from "./optimizers.js";

/** Jordan's coefficients: steep at 0, so that small singular values grow fast; they end between 0.5 and 1.2. */
const [a, b, c] = [3.4445, -4.775, 2.0315];

/**
 * A matrix with the same singular directions and singular values near 1: X <- a X + (b A + c A A) X with A = X Xᵀ, starting
 * from the matrix over its Frobenius norm. Commutes with transposing and with permuting rows or columns, so that a kernel
 * [height, width, in, out] may be taken as [height · width · in, out] as it lies.
 */
export function orthogonalised(matrix: tf.Tensor2D, iterations: number): tf.Tensor2D {
  const [rows, columns] = matrix.shape;
  const tall = rows > columns;
  let x: tf.Tensor2D = tf.div(matrix, tf.add(tf.sqrt(tf.sum(tf.square(matrix))), 1e-7));
  for (let iteration = 0; iteration < iterations; iteration++) {
    const square = tf.matMul(x, x, tall, !tall); // of the smaller side
    const factor: tf.Tensor2D = tf.add(tf.mul(square, b), tf.mul(tf.matMul(square, square), c));
    x = tf.add(tf.mul(x, a), tall ? tf.matMul(x, factor) : tf.matMul(factor, x));
  }
  return x;
}

const muonOptions = z.strictObject({
  momentum: z.number().min(0).lt(1).default(0.95).describe("share of the last step that goes on"),
  nesterov: z.boolean().default(true).describe("look ahead by one momentum step"),
  iterations: z.int().positive().default(5).describe("Newton-Schulz iterations; 3 are enough for short runs"),
  scale: z
    .enum(["none", "original", "match-rms-adamw", "rms-to-rms"])
    .default("original")
    .describe("factor of a step by the kernel's shape; timm's names"),
  renormalise: z
    .boolean()
    .default(false)
    .describe("before each step, scale a kernel to the norm √filters; takes the place of decay"),
  weightDecay: z.number().min(0).default(0).describe("decoupled: value *= 1 - rate * decay"),
  others: z.enum(["adamw", "sgd"]).default("adamw").describe("the optimizer of all other parameters"),
  otherRate: z.number().positive().default(0.015).describe("their learning rates, as a factor of the run's"),
  otherMomentum: z.number().min(0).lt(1).default(0.9).describe('momentum (Nesterov) of others: "sgd"'),
  exclude: z.array(z.string()).default([]).describe("kernels that are updated as the others are, by name"),
});

/** Factor of a step for a matrix of `out` filters with `input` numbers each: timm's three, and none. */
export const stepScale = {
  none: () => 1,
  original: (out: number, input: number) => Math.sqrt(Math.max(1, out / input)),
  "match-rms-adamw": (out: number, input: number) => 0.2 * Math.sqrt(Math.max(out, input)),
  "rms-to-rms": (out: number, input: number) => Math.sqrt(out / input),
} as const;

/**
 * Whether a parameter is for Muon: kernels of convolutions and linear layers, but the classifier's, whose smaller side as a
 * matrix is 4 or more (as in timm).
 */
export function isForMuon({ name, shape, layout, stage, stages }: ParameterInfo, exclude: readonly string[]): boolean {
  if ((layout !== "conv" && layout !== "linear") || stage === stages - 1 || exclude.includes(name)) return false;
  const out = shape.at(-1)!;
  return Math.min(out, tf.util.sizeFromShape([...shape]) / out) >= 4;
}

/** Kernels by Muon, everything else by AdamW or SGD at rates of their own. */
export const muon = partFactory("optimizer", "muon", muonOptions, (options): Optimizer => {
  const { momentum, nesterov, iterations, scale, renormalise, weightDecay, others, otherRate, otherMomentum } = options;
  const made =
    others === "adamw"
      ? makePart(adamw({ beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay }))
      : makePart(sgd({ momentum: otherMomentum, nesterov: otherMomentum > 0, weightDecay }));
  const ofKernels = (out: number, input: number): UpdateRule => ({
    slots: ["momentum"],
    whole: true,
    factors: ({ rate, decayFactor }) => ({
      rate: rate * stepScale[scale](out, input),
      ...shrinking(rate, weightDecay * decayFactor),
    }),
    update(value, gradient, [buffer], { rate, shrink }) {
      const next = tf.add(tf.mul(buffer!, momentum), gradient);
      const direction = nesterov ? tf.add(tf.mul(next, momentum), gradient) : next;
      const step = tf.reshape(orthogonalised(tf.reshape(direction, [input, out]), iterations), value.shape);
      const length = tf.sqrt(tf.sum(tf.square(value)));
      const scaled = renormalise ? tf.mul(value, tf.div(Math.sqrt(out), length)) : value;
      return [tf.sub(shrink ? tf.mul(scaled, shrink) : scaled, tf.mul(step, rate!)), [next]];
    },
  });
  return {
    ...made,
    name: "muon",
    options,
    weightDecay,
    factors: ({ rate, ...context }) => made.factors({ rate: rate * otherRate, ...context }),
    ruleFor(parameter) {
      if (!isForMuon(parameter, options.exclude)) return undefined;
      const out = parameter.shape.at(-1)!;
      return ofKernels(out, tf.util.sizeFromShape([...parameter.shape]) / out);
    },
  };
});

/**
 * One micro-batch: forward, backward, and the optimizer's step where it is due.
 *
 * State goes in as tensors and comes out as new tensors, and nothing old is let go before the loss and the gradients are
 * known to be finite: a step that fails has changed nothing.
 */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import type { RawBatch } from "../data/loader.js";
import { computeJoined } from "../nn/join.js";
import { forward, type Weights } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import type { Optimizer } from "../nn/optimizers.js";
import { stream } from "../rng.js";
import { DivergedError, firstNotFinite } from "./divergence.js";
import type { HookCalls } from "./hooks.js";
import type { Batch, Gradients, ParamGroup, Progress, Step } from "./types.js";

/** Everything training changes, apart from what plugins keep. */
export interface TrainState {
  /** Parameters and running statistics. */
  weights: Weights;
  /** `<parameter>.<slot>` -> optimizer state. */
  slots: Weights;
  /** Parameter -> updates it has had. */
  counts: Map<string, number>;
}

/** What stays the same from step to step of an epoch. */
export interface StepContext {
  model: Model;
  classes: number;
  height: number;
  width: number;
  inputSize: number;
  hooks: HookCalls;
  optimizer: Optimizer;
  learningRate: number;
  seed: number;
  groups: readonly ParamGroup[];
}

export interface StepResult {
  loss: number;
  /** Pictures whose true label had the largest logit. */
  correct: number;
  /** Whether the optimizer stepped, and with what. */
  stepped?: { learningRate: number; gradientNorm: number };
}

/** Every slot of every parameter, zero. */
export function initialState(weights: Weights, parameters: Iterable<string>, optimizer: Optimizer): TrainState {
  const slots: Weights = new Map();
  for (const name of parameters) {
    for (const slot of optimizer.slots) slots.set(`${name}.${slot}`, tf.zerosLike(weights.get(name)!));
  }
  return { weights, slots, counts: new Map() };
}

/** `Run.replaceWeights`: checks everything first, so that a mistake changes nothing. */
export function replaceWeights(state: TrainState, weights: ReadonlyMap<string, tf.Tensor>, { step }: Progress): void {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_PLUGIN", `Weights cannot be replaced: ${problem}`);
  };
  if (step > 0) refuse(`${step} steps are done, and the optimizer's state belongs to the weights they left.`);
  for (const [name, value] of weights) {
    const known = state.weights.get(name) ?? refuse(`the model has no "${name}".`);
    if (String(known.shape) !== String(value.shape)) refuse(`"${name}" is [${known.shape}], and [${value.shape}] came.`);
  }
  commit(state.weights, new Map(weights));
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Runs one micro-batch and moves `state`. @throws TrainerError ERR_DIVERGED, ERR_PLUGIN; `state` is then as before */
export function runStep(
  context: StepContext,
  state: TrainState,
  raw: RawBatch,
  at: { microBatch: number; progress: Progress },
): StepResult {
  const { hooks, groups, model, optimizer } = context;
  const next: Weights = new Map(); // new values by the name they will replace, kept until they do
  const keep = (into: Weights, name: string, value: tf.Tensor): void => {
    into.get(name)?.dispose();
    into.set(name, tf.keep(value));
  };
  const nextSlots: Weights = new Map();
  let logits: tf.Tensor | undefined;
  try {
    return tf.tidy(() => {
      const step: Mutable<Step> = {
        epoch: raw.epoch,
        step: at.progress.step,
        microBatch: at.microBatch,
        batchInEpoch: raw.batchInEpoch,
        batchesInEpoch: raw.batchesInEpoch,
        samples: raw.size,
        groups,
        weights: state.weights,
      };
      const batch = hooks.beforeBatch(toBatch(context, raw), step);
      step.batch = batch;

      const random = (path: string, shape: number[]): tf.Tensor => uniform(context.seed, path, at.microBatch, shape);
      const mustBeFinite = (what: string, value: number, gradients?: Gradients): void => {
        if (Number.isFinite(value)) return;
        throw new DivergedError({
          what,
          value,
          first: firstNotFinite(model, batch, state.weights, random, gradients),
          epoch: at.progress.epoch,
          step: at.progress.step,
          microBatch: at.microBatch,
          learningRate: hooks.resolveLearningRate(context.learningRate, at.progress),
          samples: [...raw.indices],
        });
      };

      const trained = groups.filter(({ trains }) => trains).flatMap(({ parameters }) => parameters);
      const { value, grads } = tf.engine().gradients(
        () => {
          logits = tf.keep(
            forward(model.layer, batch.images, {
              weights: state.weights,
              training: true,
              trained: new Set(trained),
              onBuffer: (name, buffer) => keep(next, name, buffer),
              uniform: random,
            }),
          );
          step.logits = logits as tf.Tensor2D;
          return hooks.afterLoss(ops.softCrossEntropy(logits, batch.targets) as tf.Scalar, step) as tf.Tensor;
        },
        trained.map((name) => state.weights.get(name)!),
        undefined,
        true,
      );
      step.loss = (value.dataSync() as Float32Array)[0]!;
      const correct = countCorrect(logits!, raw.labels);
      mustBeFinite("loss", step.loss);
      mustBeFinite("sum of the running statistics' squares", ops.sumOfSquares([...next.values()]));

      let gradients: Gradients = new Map(
        trained.flatMap((name, index) => (grads[index] ? [[name, grads[index]!] as const] : [])),
      );
      gradients = hooks.afterBackward(gradients, step);
      if (hooks.shouldStep(step) === false) {
        commit(state.weights, next);
        return { loss: step.loss, correct };
      }
      const rate = hooks.resolveLearningRate(context.learningRate, at.progress);
      step.learningRate = rate;
      gradients = hooks.beforeStep(gradients, step);
      step.gradientNorm = Math.sqrt(ops.sumOfSquares([...gradients.values()]));
      mustBeFinite("gradient norm", step.gradientNorm, gradients);

      for (const group of groups) {
        if (group.trains) update(optimizer, state, gradients, group, rate, { next, nextSlots });
      }
      for (const name of gradients.keys()) state.counts.set(name, (state.counts.get(name) ?? 0) + 1);
      commit(state.weights, next);
      commit(state.slots, nextSlots);
      hooks.onStep({ ...step, weights: state.weights });
      return { loss: step.loss, correct, stepped: { learningRate: rate, gradientNorm: step.gradientNorm } };
    });
  } finally {
    // What was committed left these maps; after a failure they hold what must go.
    for (const value of [...next.values(), ...nextSlots.values()]) value.dispose();
    logits?.dispose();
    releaseTape();
  }
}

/** tf.js keeps values for the backward pass and frees them at its end; a failure before that would leave them behind. */
function releaseTape(): void {
  const { state } = tf.engine();
  for (const { saved } of state.activeTape ?? []) tf.dispose(saved ?? []);
  state.activeTape = [];
}

/** One optimizer step of a group's parameters, into `next` and `nextSlots`. */
function update(
  optimizer: Optimizer,
  state: TrainState,
  gradients: Gradients,
  { parameters, rateFactor, decays }: ParamGroup,
  rate: number,
  { next, nextSlots }: { next: Weights; nextSlots: Weights },
): void {
  const countOf = (name: string): number => (state.counts.get(name) ?? 0) + 1;
  const together = new Map<string, string[]>();
  for (const name of parameters) {
    const gradient = gradients.get(name);
    if (!gradient) continue;
    // Vectors of one history are updated as one; everything else alone.
    const key = gradient.rank === 1 ? `vectors ${countOf(name)}` : name;
    together.set(key, [...(together.get(key) ?? []), name]);
  }
  for (const names of together.values()) {
    tf.tidy(() => {
      const slotsOf = (slot: string): tf.Tensor[] => names.map((name) => state.slots.get(`${name}.${slot}`)!);
      const columns = [
        names.map((name) => state.weights.get(name)!),
        names.map((name) => gradients.get(name)!),
        ...optimizer.slots.map(slotsOf),
      ];
      const context = { rate: rate * rateFactor, count: countOf(names[0]!), decays };
      const [values, ...slots] = computeJoined(columns, ([value, gradient, ...slotValues]) => {
        const [updated, moved] = optimizer.update(value!, gradient!, slotValues, context);
        return [updated, ...moved];
      });
      names.forEach((name, index) => {
        next.set(name, tf.keep(values![index]!));
        optimizer.slots.forEach((slot, which) => nextSlots.set(`${name}.${slot}`, tf.keep(slots[which]![index]!)));
      });
    });
  }
}

/** Puts new values in the place of old ones and lets the old ones go. */
function commit(into: Weights, next: Weights): void {
  for (const [name, value] of next) {
    into.get(name)?.dispose();
    into.set(name, value);
  }
  next.clear();
}

/** To the device: resized pictures and one-hot targets. */
function toBatch({ classes, height, width, inputSize }: StepContext, raw: RawBatch): Batch {
  const images = tf.tensor4d(raw.images, [raw.size, height, width, 3]);
  const oneHot = new Float32Array(raw.size * classes);
  raw.labels.forEach((label, row) => (oneHot[row * classes + label] = 1));
  return {
    images: ops.resize(images, inputSize, inputSize) as tf.Tensor4D,
    targets: tf.tensor2d(oneHot, [raw.size, classes]),
    labels: raw.labels,
    indices: raw.indices,
  };
}

/** Uniform numbers for a random layer: a function of seed, layer and micro-batch, made here so that they can be fed. */
function uniform(seed: number, path: string, microBatch: number, shape: number[]): tf.Tensor {
  const random = stream(seed, `layer/${path}`, microBatch);
  const size = tf.util.sizeFromShape(shape);
  return tf.tensor(Float32Array.from({ length: size }, random.uniform), shape, "float32");
}

/** Pictures whose true label has the largest logit; a row of NaN counts for none. */
function countCorrect(logits: tf.Tensor, labels: Int32Array): number {
  const values = logits.dataSync() as Float32Array;
  const classes = logits.shape[1]!;
  let correct = 0;
  labels.forEach((label, row) => {
    const own = values[row * classes + label]!;
    let largest = Number.isFinite(own);
    for (let other = 0; largest && other < classes; other++) {
      if (values[row * classes + other]! > own) largest = false;
    }
    if (largest) correct++;
  });
  return correct;
}

/**
 * One micro-batch: forward, backward, and the optimizer's step where it is due.
 *
 * State goes in as tensors and comes out as new tensors, and no old tensor is freed before the loss and the gradients are
 * known to be finite: a step that fails has changed nothing. The two large parts, `passes.ts` and `update.ts`, are
 * functions of tensors alone, so that TensorFlow can run each as one graph; the hooks are called around them, and
 * `afterLoss` inside the first.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Draw } from "../backend/graph/recorder.js";
import type { RawBatch } from "../data/loader.js";
import { countTop1 } from "../metrics.js";
import * as ops from "../nn/ops.js";
import { stream } from "../rng.js";
import { numberIn, under } from "./captured.js";
import { DivergedError, firstNotFinite } from "./divergence.js";
import { sumOverGroup } from "./group-sum.js";
import { type LossOfStep, mustMoveWeights } from "./loss-taps.js";
import { forwardAndBackward, trainedOf } from "./passes.js";
import { commit, type StepContext, type TrainState } from "./state.js";
import type { Batch, Gradients, Progress, Step } from "./types.js";
import { optimizerStep } from "./update.js";

export interface StepResult {
  loss: number;
  /** Images whose true label had the largest logit, alone (`countTop1`). */
  correct: number;
  /** Number of processes that were asked to stop; all learn it in the same step. */
  stopping: number;
  /** Whether the optimizer stepped, and with what. */
  stepped?: { learningRate: number; gradientNorm: number };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Where a micro-batch stands in the run, and whether this process was asked to stop. */
interface At {
  microBatch: number;
  progress: Progress;
  stopping?: boolean;
}

/** Runs one micro-batch and moves `state`. @throws TrainerError ERR_DIVERGED, ERR_PLUGIN, ERR_CONFIG; `state` is then as before */
export function runStep(context: StepContext, state: TrainState, raw: RawBatch, at: At): StepResult {
  const { hooks, group, model, loss } = context;
  return tf.tidy(() => {
    const step = begun(context, state, raw, at);
    const draw: Draw = (path, shape) => uniform(context.seed, path, at.microBatch, shape, raw);
    const ofLoss: LossOfStep = { loss, taps: context.afterLossTaps, step };
    const mustBeFinite = finiteCheck(context, state, raw, at, ofLoss, draw);

    const own = forwardAndBackward(context, state, step, raw.share, draw);
    step.logits = own.logits as tf.Tensor2D;
    const ownCorrect = countTop1(step.logits.dataSync() as Float32Array, context.classes, raw.labels);
    const counts = [raw.share > 0 ? ownCorrect : 0, Number(at.stopping ?? false)];
    // Everything below is the same in all processes.
    const passes = group.size > 1 ? sumOverGroup(context, own, counts, draw) : own;
    const [correct, stopping] = (passes.counts ? [...passes.counts.dataSync()] : counts) as [number, number];
    step.loss = numberIn(passes.loss!);
    mustBeFinite("loss", step.loss);
    mustBeFinite("sum of the running statistics' squares", numberIn(passes.squares!));
    const buffers = under("buffer/", passes);

    const found = under("gradient/", passes);
    if (at.microBatch === 0)
      mustMoveWeights(found, trainedOf(step), { ...ofLoss, model, weights: state.weights, uniform: draw });
    const gradients = hooks.afterBackward(found, step);
    if (hooks.shouldStep(step) === false) {
      mustBeFinite("sum of the gradients' squares", numberIn(ops.squaredNorm([...gradients.values()])), gradients);
      commit(state.weights, buffers);
      return { loss: step.loss, correct, stopping };
    }
    const learningRate = hooks.resolveLearningRate(context.learningRate, at.progress);
    step.learningRate = learningRate;
    const used = context.isPure("beforeStep") ? gradients : hooks.beforeStep(gradients, step);
    const next = optimizerStep(context, state, step, { gradients: used, buffers }, at.progress, draw);
    const { gradientNorm } = next;
    step.gradientNorm = gradientNorm;
    mustBeFinite("gradient norm", gradientNorm, used);
    mustBeFinite("sum of the new weights' squares", next.squares, used);

    for (const name of used.keys()) state.counts.set(name, (state.counts.get(name) ?? 0) + 1);
    commit(state.weights, buffers);
    commit(state.weights, next.values);
    commit(state.slots, next.slots);
    commit(state.taps, next.taps);
    hooks.onStep({ ...step, weights: state.weights });
    return { loss: step.loss, correct, stopping, stepped: { learningRate, gradientNorm } };
  });
}

/** The step as its first taps see it, with the batch that `beforeBatch` gave. */
function begun(context: StepContext, state: TrainState, raw: RawBatch, { microBatch, progress }: At): Mutable<Step> {
  const step: Mutable<Step> = {
    epoch: raw.epoch,
    step: progress.step,
    microBatch,
    batchInEpoch: raw.batchInEpoch,
    batchesInEpoch: raw.batchesInEpoch,
    samples: raw.whole.indices.length,
    share: progress.step / progress.totalSteps,
    groups: context.groups,
    weights: state.weights,
  };
  step.batch = context.hooks.beforeBatch(toBatch(context, raw), step);
  return step;
}

/** A check of one number of a step. It throws a `DivergedError` that names the first tensor that is not finite. */
function finiteCheck(
  context: StepContext,
  { weights }: TrainState,
  raw: RawBatch,
  { microBatch, progress }: At,
  ofLoss: LossOfStep,
  draw: Draw,
): (what: string, value: number, gradients?: Gradients) => void {
  return (what, value, gradients) => {
    if (Number.isFinite(value)) return;
    const { split, indices } = context.images;
    const samples = Array.from(raw.whole.indices, (place) => indices[place]!);
    throw new DivergedError({
      what,
      value,
      first: firstNotFinite(context.model, ofLoss, weights, draw, gradients),
      epoch: progress.epoch,
      step: progress.step,
      microBatch,
      learningRate: context.hooks.resolveLearningRate(context.learningRate, progress),
      samples,
      images: samples.map((sample) => split.file?.(sample).name ?? split.describe(sample)),
    });
  };
}

/** To the device: resized images and one-hot targets. */
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

/**
 * Uniform numbers for a random layer: a function of seed, layer and micro-batch, made here so that they can be fed. Drawn for the
 * whole batch, of which these are the rows of this process.
 */
function uniform(seed: number, path: string, microBatch: number, shape: number[], raw: RawBatch): tf.Tensor {
  const random = stream(seed, `layer/${path}`, microBatch);
  const size = tf.util.sizeFromShape(shape);
  const before = shape[0] === raw.size ? (size / raw.size) * raw.whole.from : 0;
  for (let n = 0; n < before; n++) random.uniform();
  return tf.tensor(Float32Array.from({ length: size }, random.uniform), shape, "float32");
}

/**
 * The hooks of the loop, as a plugin's author reads them: names, kinds, signatures. hook-set.ts runs them.
 *
 * The prefix tells the kind. `before* after* build* resolve*` are waterfalls and return the next value; `should*` are
 * questions, and the first answer counts; `on*` are notices. Everything inside a step is synchronous.
 * docs/hooks.md has the firing order.
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Rectangle, Sample, SourceImage } from "../data/dataset.js";
import type { Group } from "../group/group.js";
import type { Layer } from "../nn/layer.js";
import type { BlockInfo, HeadInfo, NetworkInfo } from "../nn/model.js";
import type { Stream } from "../rng.js";
import type {
  AfterStepContext,
  AfterStepOptions,
  Batch,
  EpochSummary,
  Evaluation,
  FitContext,
  FitSummary,
  Gradients,
  Metrics,
  ParamGroup,
  Progress,
  Step,
} from "./types.js";

/** What a tap of each hook is: its arguments and what it returns. */
export interface HookSignatures {
  /**
   * When: a fit begins, before data and backend are loaded. Kind: waterfall. The processes that train the model together; it
   * begins as this one alone.
   */
  resolveGroup(group: Group): Group;
  /** When: a model is built. Kind: waterfall. `branch` ends after its last norm, before the add. */
  buildBlock(branch: Layer, block: BlockInfo): Layer;
  /** When: a model is built. Kind: waterfall. The layer between pooled features and classifier. */
  buildHead(head: Layer, info: HeadInfo): Layer;
  /** When: a model is built. Kind: waterfall. The whole network in float32: [batch, size, size, 3] to logits. */
  buildNetwork(network: Layer, info: NetworkInfo): Layer;
  /** When: at the start of each epoch. Kind: waterfall. Every parameter must stay in exactly one group. */
  resolveParamGroups(groups: readonly ParamGroup[], progress: Progress): readonly ParamGroup[];
  /** When: before the first step. Kind: notice, may be asynchronous. */
  onFitStart(fit: FitContext): void | Promise<void>;
  /**
   * When: an epoch of training begins. Kind: waterfall. Places in the training images, as many as there are, in the order in
   * which they are read; a place may come twice. `labels` are those of the places.
   */
  resolveOrder(order: Int32Array, labels: ArrayLike<number>, rng: Stream, epoch: number): Int32Array;
  /**
   * When: a training image is about to be read. Kind: waterfall. Which region of the stored image is read and scaled to the
   * data's size: whole pixels, inside the image. It begins as the largest square in the middle.
   */
  resolveCrop(crop: Rectangle, source: SourceImage, rng: Stream, epoch: number): Rectangle;
  /** When: a training sample is loaded. Kind: waterfall. Unsigned bytes [height, width, 3]; never change them. */
  beforeSample(sample: Sample, rng: Stream, epoch: number): Sample;
  /** When: before the forward pass, in training only. Kind: waterfall. Targets stay distributions, but for taps with `weighs`; an epoch's first batch is checked. */
  beforeBatch(batch: Batch, step: Step): Batch;
  /** When: every optimizer step. Kind: waterfall. */
  resolveLearningRate(rate: number, progress: Progress): number;
  /**
   * When: inside the gradient tape, after the loss. Kind: waterfall. Where every tap is `pure`, forward and backward pass run
   * as a graph; otherwise operation by operation.
   */
  afterLoss(loss: tf.Scalar, step: Step): tf.Scalar;
  /** When: after the gradients of every micro-batch. Kind: waterfall. */
  afterBackward(gradients: Gradients, step: Step): Gradients;
  /** When: after `afterBackward`. Kind: question; false holds the optimizer back. */
  shouldStep(step: Step): boolean | undefined;
  /** When: before the optimizer uses the gradients. Kind: waterfall. */
  beforeStep(gradients: Gradients, step: Step): Gradients;
  /**
   * When: after the optimizer's update, before it counts. Kind: waterfall. Weights and new running statistics by name; part of
   * the update's graph. A tap's own tensors and numbers are declared in its options (`AfterStepOptions`).
   */
  afterStep(weights: ReadonlyMap<string, tf.Tensor>, context: AfterStepContext): ReadonlyMap<string, tf.Tensor>;
  /** When: after an optimizer step. Kind: notice. */
  onStep(step: Step): undefined | void;
  /** When: before any evaluation. Kind: waterfall. Which weights, and which views of an image. */
  beforeEvaluate(evaluation: Evaluation, progress: Progress): Evaluation;
  /** When: after an evaluation. Kind: waterfall, may be asynchronous. */
  afterEvaluate(metrics: Metrics, progress: Progress): Metrics | Promise<Metrics>;
  /** When: after an epoch and its evaluation. Kind: notice, may be asynchronous. */
  onEpochEnd(summary: EpochSummary): void | Promise<void>;
  /** When: after `onEpochEnd`. Kind: question; the answer is a reason to stop. */
  shouldStop(summary: EpochSummary): string | undefined;
  /** When: at the end, also after a failure. Kind: notice, may be asynchronous; every tap runs. */
  onFitEnd(summary: FitSummary): void | Promise<void>;
}

export type HookName = keyof HookSignatures;

/** In which part of a hook's order a tap runs; inside a stage it is the order of the plugins in the config. */
export const stages = ["first", "early", "normal", "late", "last"] as const;
export type Stage = (typeof stages)[number];

export interface TapOptions {
  /** Default "normal". */
  stage?: Stage;
  /**
   * `afterLoss` and `beforeStep` only: what the tap returns depends on the tensors that it is given, and on nothing else. If
   * all taps of the hook are pure, they become part of a graph: they are called while a step is recorded, not at every step.
   */
  pure?: boolean;
  /**
   * `beforeBatch` only: the targets that the tap returns are distributions times a weight. A loss is linear in its targets, so the
   * weight multiplies the image's loss.
   */
  weighs?: boolean;
}

/** One hook as a plugin sees it. */
export interface HookTap<K extends HookName> {
  tap(handler: HookSignatures[K]): void;
  tap(options: K extends "afterStep" ? TapOptions & AfterStepOptions : TapOptions, handler: HookSignatures[K]): void;
}

export type Hooks = { readonly [K in HookName]: HookTap<K> };

/** Waterfalls pass a value on, questions end at the first answer, notices return nothing. */
export type HookKind = "waterfall" | "question" | "notice" | "asyncNotice" | "asyncWaterfall";

export interface HookDefinition {
  readonly kind: HookKind;
  readonly arguments: readonly [string, ...string[]];
}

/** In the order in which they first fire. */
export const hookDefinitions: Readonly<Record<HookName, HookDefinition>> = {
  resolveGroup: { kind: "waterfall", arguments: ["group"] },
  buildBlock: { kind: "waterfall", arguments: ["branch", "block"] },
  buildHead: { kind: "waterfall", arguments: ["head", "info"] },
  buildNetwork: { kind: "waterfall", arguments: ["network", "info"] },
  onFitStart: { kind: "asyncNotice", arguments: ["fit"] },
  resolveParamGroups: { kind: "waterfall", arguments: ["groups", "progress"] },
  resolveOrder: { kind: "waterfall", arguments: ["order", "labels", "epoch"] },
  resolveCrop: { kind: "waterfall", arguments: ["crop", "source", "epoch"] },
  beforeSample: { kind: "waterfall", arguments: ["sample", "epoch"] },
  beforeBatch: { kind: "waterfall", arguments: ["batch", "step"] },
  afterLoss: { kind: "waterfall", arguments: ["loss", "step"] },
  afterBackward: { kind: "waterfall", arguments: ["gradients", "step"] },
  shouldStep: { kind: "question", arguments: ["step"] },
  resolveLearningRate: { kind: "waterfall", arguments: ["rate", "progress"] },
  beforeStep: { kind: "waterfall", arguments: ["gradients", "step"] },
  afterStep: { kind: "waterfall", arguments: ["weights", "context"] },
  onStep: { kind: "notice", arguments: ["step"] },
  beforeEvaluate: { kind: "waterfall", arguments: ["evaluation", "progress"] },
  afterEvaluate: { kind: "asyncWaterfall", arguments: ["metrics", "progress"] },
  onEpochEnd: { kind: "asyncNotice", arguments: ["summary"] },
  shouldStop: { kind: "question", arguments: ["summary"] },
  onFitEnd: { kind: "asyncNotice", arguments: ["summary"] },
};

export const hookNames = Object.keys(hookDefinitions) as HookName[];

const kindIs =
  (...kinds: HookKind[]) =>
  (hook: HookName): boolean =>
    kinds.includes(hookDefinitions[hook].kind);
export const isAsync = kindIs("asyncNotice", "asyncWaterfall");
export const isNotice = kindIs("notice", "asyncNotice");
export const isWaterfall = kindIs("waterfall", "asyncWaterfall");

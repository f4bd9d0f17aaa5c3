/** The values that travel through the hooks and events. */
import type * as tf from "@tensorflow/tfjs-core";
import type { Backend } from "../backend/index.js";
import type { RunConfig } from "../config/settings.js";
import type { Data } from "../data/dataset.js";
import type { Outputs } from "../metrics.js";
import type { BestEpoch } from "../monitor.js";
import type { Weights } from "../nn/layer.js";
import type { Model } from "../nn/model.js";

export type { Outputs } from "../metrics.js";

/** One micro-batch on the device. */
export interface Batch {
  /** [batch, height, width, 3], normalised. */
  readonly images: tf.Tensor4D;
  /** [batch, classes], each row a distribution. */
  readonly targets: tf.Tensor2D;
  /** True class of each image, untouched by mixing. */
  readonly labels: Int32Array;
  /** Place of each image among those trained on: `trainIndices` of `onFitStart` has its index in `data.train`. */
  readonly indices: Int32Array;
  /**
   * Tensors of plugins, by names such as "distill/targets": made in `beforeBatch` and used in `afterLoss`, where a step that
   * runs as a graph takes no others.
   */
  readonly more?: Readonly<Record<string, tf.Tensor>>;
}

/** Parameter's full name -> gradient of the parameter's shape. */
export type Gradients = ReadonlyMap<string, tf.Tensor>;

/** Parameters that share a rate. */
export interface ParamGroup {
  readonly name: string;
  /** 0 at the input, rising to the head: which of the model's stages the group belongs to. */
  readonly depth: number;
  readonly parameters: readonly string[];
  /** Multiplies the learning rate. */
  readonly rateFactor: number;
  /** Frozen when false: no gradient is computed, and norms keep their running statistics. */
  readonly trains: boolean;
  /** Multiplies weight decay: 1 for kernels, 0 for norms and biases, unless a plugin changes it. */
  readonly decayFactor: number;
}

/**
 * Where the run is, counted in optimizer steps. With `maxTime`, `epochs` and `totalSteps` are what the measured speed makes of the
 * time: step / totalSteps is the share of it that is over.
 */
export interface Progress {
  /** From 0. */
  readonly epoch: number;
  readonly epochs: number;
  /** Optimizer steps done. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/** What taps inside a step see. Values appear as the step proceeds; each comment says when. */
export interface Step {
  readonly epoch: number;
  /** Optimizer steps done before this one. */
  readonly step: number;
  /** Micro-batches done before this one, over the whole run: a key for random streams. */
  readonly microBatch: number;
  readonly batchInEpoch: number;
  readonly batchesInEpoch: number;
  /** Images in this micro-batch. */
  readonly samples: number;
  /** Of the run, from 0 to 1: of its steps, or of its time with `maxTime`. */
  readonly share: number;
  readonly groups: readonly ParamGroup[];
  /** Parameters and running statistics as they are before the optimizer's step; after it in `onStep`. */
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  /** From `afterLoss` on: the batch the model saw, and its logits [batch, classes]. */
  readonly batch?: Batch;
  readonly logits?: tf.Tensor2D;
  /** From `afterBackward` on: the loss as a number. */
  readonly loss?: number;
  /** From `beforeStep` on. */
  readonly learningRate?: number;
  /** In `onStep`: the norm of all gradients that the optimizer used. */
  readonly gradientNorm?: number;
}

/** What a tap of `afterStep` has beside the weights. All of it is tensors, since the tap is part of a graph. */
export interface AfterStepContext {
  /** Names of the weights that this step changed: parameters that train, and running statistics. */
  readonly updated: ReadonlySet<string>;
  /** The tap's own tensors, as its last run left them. */
  readonly state: ReadonlyMap<string, tf.Tensor>;
  /** What the option `numbers` gave for this step. */
  readonly numbers: Readonly<Record<string, tf.Scalar>>;
  /** The next value of one of the tap's own tensors, of the same shape. */
  setState(name: string, value: tf.Tensor): void;
}

/** What a tap of `afterStep` owns, and when it runs. */
export interface AfterStepOptions {
  /** First values of the tap's own tensors, from the weights before the first step. The loop copies and keeps them. */
  state?(weights: ReadonlyMap<string, tf.Tensor>): ReadonlyMap<string, tf.Tensor>;
  /** Numbers for the step after `progress`, fed as scalars; undefined where the tap has nothing to do in that step. */
  numbers?(progress: Progress): Readonly<Record<string, number>> | undefined;
}

/** A way of looking at an image in evaluation; the network's answers are averaged over views. */
export interface View {
  readonly name: string;
  /** Its share in the average, relative to the others'. Default 1. */
  readonly weight?: number;
  /** [batch, height, width, 3] -> the same shape. */
  apply(images: tf.Tensor4D): tf.Tensor4D;
}

/** What is about to be evaluated, and how. */
export interface Evaluation {
  /** "validation" after an epoch; "final" for the weights that the run ends with, on validation and test images. */
  readonly purpose: "validation" | "final";
  /** Whoever replaces them keeps owning what they put here. */
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  /** Names what the weights are: "current", "averaged", "best of epoch 12". */
  readonly source: string;
  /** At least one; the first is the plain image unless a plugin says otherwise. */
  readonly views: readonly View[];
  /** What of the views is averaged: probabilities (default), or logits, whose mean then goes through softmax. */
  readonly average?: "probabilities" | "logits";
}

/** Figures of one evaluation. Accuracies are fractions. */
export interface Metrics {
  readonly count: number;
  readonly loss: number;
  readonly top1: number;
  readonly top5: number;
  /** Which weights were evaluated. */
  readonly source: string;
  /** With more than one view: the figures of the first view alone. */
  readonly singleView?: { readonly loss: number; readonly top1: number; readonly top5: number };
  /** The config's metrics by name, and more figures from `afterEvaluate`. */
  readonly more?: Readonly<Record<string, number>>;
  /** What the figures come from; not part of records. */
  readonly outputs?: Outputs;
}

export interface TrainFigures {
  /** Mean over samples of the loss as trained on (smoothed, mixed). */
  readonly loss: number;
  /** Share of training images whose true label had the largest logit, as the model saw them (augmented). */
  readonly top1: number;
}

export interface EpochSummary extends Progress {
  /** Whether every micro-batch had its turn; false where the run ends inside the epoch. */
  readonly whole: boolean;
  readonly learningRate: number;
  readonly train: TrainFigures;
  /** Absent without validation images, or in epochs that are not evaluated. */
  readonly validation?: Metrics;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** What is kept of a run as `summary.json`. */
export interface FitSummary {
  readonly preset: string;
  readonly seed: number;
  readonly backend: string;
  readonly backendVersion: string;
  readonly precision: "float32" | "bfloat16";
  readonly threads: number;
  readonly parameters: number;
  readonly epochs: number;
  readonly steps: number;
  readonly seconds: number;
  /** Training throughput, evaluation apart. */
  readonly imagesPerSecond: number;
  readonly stopReason: string;
  readonly validation?: Metrics;
  readonly test?: Metrics;
  /** The best epoch by the config's `monitor`; none where no epoch had that figure. */
  readonly best?: BestEpoch;
  /** Plugin -> milliseconds a step, and the share of the training time. */
  readonly costs: Readonly<Record<string, { millisecondsPerStep: number; share: number }>>;
}

/** A network that a finished run trained, for plugins that use one beside their own: a teacher, say. */
export interface TrainedNetwork {
  readonly model: Model;
  /** They belong to the caller, who frees them. */
  readonly weights: Weights;
  /** Which weights they are: "final", "best of epoch 12". */
  readonly source: string;
  readonly classes: readonly string[];
  /** Side in pixels of the images that it was trained on, and how these were normalised. */
  readonly inputSize: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Of its weights file: another one is another network. */
  readonly sha256: string;
}

/** Which weights of a run: what it ended with, those of its best epoch or its last one, or the averages of `ema`. */
export type NetworkWeights = "final" | "best" | "last" | "ema";

/** Opens the network of a finished run. @throws TrainerError for a folder that has none, and for damaged files */
export type OpenNetwork = (
  folder: string,
  options: {
    readonly weights: NetworkWeights;
    readonly precision: RunConfig["precision"];
    /** Receives what there is to say of the run, a sentence each. */
    readonly warn?: (message: string) => void;
  },
) => Promise<TrainedNetwork>;

/** The fit under way, as `onFitStart` sees it. Valid until `onFitEnd` is over. */
export interface FitContext {
  readonly config: RunConfig;
  readonly data: Data;
  /** Indices into the training split: those trained on, and those of validation. */
  readonly trainIndices: Int32Array;
  readonly validationIndices: Int32Array;
  readonly model: Model;
  readonly backend: Backend;
  readonly progress: Progress;
  /** Images are resized to this many pixels on the device. */
  readonly inputSize: number;
  /** The run as `trainer plan` prints it. */
  plan(): string;
  /** The weights now; owned by the trainer, replaced at every step. */
  weights(): Weights;
  /**
   * Puts other values in the place of some weights, before the first step; the tensors are the trainer's from then on.
   *
   * @throws TrainerError ERR_PLUGIN once a step was made, or for a name or shape that the model does not have
   */
  replaceWeights(weights: ReadonlyMap<string, tf.Tensor>): void;
  /**
   * Opens the network of another run. Loading is slow: do it once, in `onFitStart`.
   *
   * @throws TrainerError ERR_PLUGIN where the fit was not given `openNetwork`: a bare `Trainer` reads no run
   */
  openNetwork: OpenNetwork;
  /** The run's folder, where it has one. Read it before each write: a run that has lost its folder throws here. */
  readonly folder?: string;
}

/**
 * A run's position and its counts so far: plain JSON, so that it can be stored and resumed. Sums are added in the same
 * order whether a run was interrupted or not, so they are bit-identical.
 */
import type { ResolvedConfig } from "../config/config.js";
import type { RawBatch } from "../data/loader.js";
import { TrainerError } from "../errors.js";
import { type BestEpoch, improves, type Monitor, monitored } from "../monitor.js";
import type { MetricsRecord } from "./events.js";
import type { StepResult } from "./step.js";
import type { EpochSummary, Progress } from "./types.js";

export interface Sums {
  /** Micro-batches. */
  batches: number;
  samples: number;
  /** Each micro-batch's mean loss times its images. */
  loss: number;
  correct: number;
  /** Wall clock. */
  seconds: number;
}

export interface Position {
  /** Whole epochs done. */
  epoch: number;
  /** Optimizer steps done, and micro-batches, over the whole run. */
  step: number;
  microBatch: number;
  /** Micro-batches of the epoch under way that are done. */
  batchInEpoch: number;
  /** Spent in training steps, evaluation apart. */
  seconds: number;
  samplesSeen: number;
  learningRate: number;
  /** Since the last optimizer step, and since the epoch's beginning. */
  window: Sums;
  sums: Sums;
  /** Micro-batches left out in a row, because their numbers were not finite. */
  skipped: number;
  /** How often the run was rolled back for that, and the factor of the learning rate since then. */
  rollbacks: number;
  rateFactor: number;
  /** On validation images, after the last epoch; absent if that one was not evaluated. */
  validation?: MetricsRecord;
  /** By the config's `monitor`. */
  best?: BestEpoch;
  /** Why a plugin ended the run; an interrupted run has none and can be resumed. */
  ended?: string;
}

const nothing = (): Sums => ({ batches: 0, samples: 0, loss: 0, correct: 0, seconds: 0 });

export function beginning(): Position {
  return {
    epoch: 0,
    step: 0,
    microBatch: 0,
    batchInEpoch: 0,
    seconds: 0,
    samplesSeen: 0,
    learningRate: 0,
    skipped: 0,
    rollbacks: 0,
    rateFactor: 1,
    window: nothing(),
    sums: nothing(),
  };
}

/** The reported figures of an optimizer step. */
export interface StepFigures {
  learningRate: number;
  gradientNorm: number;
  loss: number;
  top1: number;
  samples: number;
  imagesPerSecond: number;
}

/** Refuses a batch that is not the next one. @throws TrainerError ERR_INTERNAL */
export function mustBeNext({ epoch, batchInEpoch }: Position, given: RawBatch): void {
  if (given.epoch === epoch && given.batchInEpoch === batchInEpoch) return;
  throw new TrainerError(
    "ERR_INTERNAL",
    `The loop: expected batch ${batchInEpoch} of epoch ${epoch}, got batch ${given.batchInEpoch} of epoch ${given.epoch}.`,
  );
}

/** Counts a micro-batch that took `seconds`; the figures of the optimizer step where it ended one. */
export function advance(
  position: Position,
  { whole: { indices } }: RawBatch,
  result: StepResult,
  seconds: number,
): StepFigures | undefined {
  const { window, sums } = position;
  const size = indices.length;
  position.skipped = 0;
  position.microBatch++;
  position.batchInEpoch++;
  window.batches++;
  window.samples += size;
  window.loss += result.loss * size;
  window.correct += result.correct;
  window.seconds += seconds;
  if (!result.stepped) return undefined;
  position.step++;
  position.learningRate = result.stepped.learningRate;
  position.seconds += window.seconds;
  position.samplesSeen += window.samples;
  for (const key of ["batches", "samples", "loss", "correct", "seconds"] as const) sums[key] += window[key];
  position.window = nothing();
  const { samples, loss, correct } = window;
  return {
    ...result.stepped,
    loss: loss / samples,
    top1: correct / samples,
    samples,
    imagesPerSecond: samples / window.seconds,
  };
}

/** Skips a micro-batch; where an optimizer step was due, also the micro-batches accumulated for it. */
export function leaveOut(position: Position, closes: boolean): void {
  position.skipped++;
  position.microBatch++;
  position.batchInEpoch++;
  if (closes) position.window = nothing();
}

/** The best epoch, the one that ends here included. */
export function bestOf({ best, step }: Position, summary: EpochSummary, monitor: Monitor): BestEpoch | undefined {
  const value = monitored(summary, monitor.metric);
  return improves(value, best?.value, monitor.direction) ? { ...monitor, value, epoch: summary.epoch, step } : best;
}

/** To the next epoch. */
export function nextEpoch(position: Position): void {
  position.epoch++;
  position.batchInEpoch = 0;
  position.sums = nothing();
}

/** Epochs that a run of a given time is taken to have, before any of its time was measured. */
export const assumedEpochs = 20;

/** Where a run is after `step` optimizer steps; one of a given time is taken to have `assumedEpochs`. */
export function progressAt(
  step: number,
  { epochs = assumedEpochs }: Pick<ResolvedConfig, "epochs">,
  { stepsPerEpoch }: Pick<Progress, "stepsPerEpoch">,
): Progress {
  const totalSteps = epochs * stepsPerEpoch;
  return { epoch: Math.floor(step / stepsPerEpoch), epochs, step, stepsPerEpoch, totalSteps };
}

/**
 * Where a run of a given time is. Its length is what the measured speed makes of the time, so that step / totalSteps is the
 * share of the time that is over, and every schedule of the whole run ends with it.
 */
export function timedProgress(
  { epoch, step, seconds }: Pick<Position, "epoch" | "step" | "seconds">,
  maxTime: number,
  stepsPerEpoch: number,
): Progress {
  const measured = step === 0 || seconds === 0 ? assumedEpochs * stepsPerEpoch : Math.round((step * maxTime) / seconds);
  const totalSteps = seconds >= maxTime ? step : Math.max(step + 1, measured);
  return { epoch, epochs: Math.ceil(totalSteps / stepsPerEpoch), step, stepsPerEpoch, totalSteps };
}

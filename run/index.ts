/**
 * The package's entry: what a program imports as "fitloop". A snapshot test guards what is exported here.
 *
 * It stands above run/ and report/, and composes `train` of both. A program that only opens runs loads neither loop nor report.
 */
import type { TrainerConfig } from "../core/index.js";
import type { Run } from "./open.js";
import type { TrainOptions as RunOptions } from "./train.js";

export * as tf from "@tensorflow/tfjs-core";
export { z } from "zod";
export * from "../core/index.js";
export type { CalibrationResult } from "./calibration.js";
export type { EvaluateOptions as RunEvaluateOptions, Figure, RunEvaluation } from "./evaluate.js";
export type { ImageSource } from "./network.js";
export { type ImageGradCam, type OpenOptions, openRun, type Run, type RunGradCamOptions } from "./open.js";
export type { Answer, Prediction, PredictOptions } from "./predict.js";

export interface TrainOptions extends Omit<RunOptions, "source"> {
  /** Show the run on standard error: a live line on a terminal, elsewhere a line an epoch. Default false. */
  progress?: boolean;
}

/**
 * Trains as a config says, in a folder that holds record, metrics, checkpoints, summary, weights and the report:
 * what `trainer fit` does.
 *
 * @returns the run, ready to predict. Interrupted by `signal`, it has the weights of its last step, and its
 *   `summary.stopReason` says so
 * @throws TrainerError with a stable `code`. A run that got to a checkpoint can be resumed
 */
export async function train(config: TrainerConfig, { progress = false, ...options }: TrainOptions = {}): Promise<Run> {
  const { train: run } = await import("./train.js");
  const { createReport } = await import("../report/observer.js");
  const show = progress ? (await import("../cli/progress.js")).showProgress : undefined;
  return run(config, {
    ...options,
    observers: [createReport(), ...(options.observers ?? [])],
    watch(events) {
      show?.(events);
      options.watch?.(events);
    },
  });
}

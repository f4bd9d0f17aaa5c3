/**
 * The package's entry: what a program imports as "fitloop". A snapshot test guards what is exported here.
 *
 * It stands above run/, report/ and export/, and composes `train` and `Run` of them, each loaded when it is called.
 */
import type { TrainerConfig } from "../core/index.js";
import type { ExportOptions, ExportResult } from "../export/index.js";
import { type OpenedRun, type OpenOptions, openRun as open } from "./open.js";
import type { TrainOptions as RunOptions } from "./train.js";

export * as tf from "@tensorflow/tfjs-core";
export { z } from "zod";
export * from "../core/index.js";
export type { CalibrationResult } from "./calibration.js";
export type { EvaluateOptions as RunEvaluateOptions, Figure, RunEvaluation } from "./evaluate.js";
export type { ImageSource } from "./network.js";
export type { ImageGradCam, OpenedRun, OpenOptions, RunGradCamOptions } from "./open.js";
export type { Answer, Prediction, PredictOptions } from "./predict.js";

/** A finished run. */
export interface Run extends OpenedRun {
  /**
   * Writes the run as files for other runtimes, as `trainer export` does. Needs TensorFlow; int8 needs the run's data too.
   *
   * @throws TrainerError as `exportRun` of "fitloop/export"
   */
  export(options?: ExportOptions): Promise<ExportResult>;
}

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
  const trained = await run(config, {
    ...options,
    observers: [createReport(), ...(options.observers ?? [])],
    watch(events) {
      show?.(events);
      options.watch?.(events);
    },
  });
  return withExport(trained, { config });
}

/**
 * Opens a finished run. A run made of built-in parts needs its folder alone.
 *
 * @param folder `runs/cats-1`
 * @throws TrainerError ERR_DATA for a folder that is no finished run; ERR_CONFIG for one with parts of the user's own that
 *   `config` does not have; ERR_WEIGHTS for damaged weights
 */
export async function openRun(folder: string, options: OpenOptions = {}): Promise<Run> {
  return withExport(await open(folder, options), options);
}

/** @param opening what the run was opened with: its own parts, and where its data lies */
function withExport(run: OpenedRun, opening: OpenOptions): Run {
  return Object.assign(run, {
    async export(options: ExportOptions = {}): Promise<ExportResult> {
      const { exportFiles, openForExport } = await import("../export/export.js");
      const asked = { ...opening, ...options };
      return exportFiles(await openForExport(run.folder, asked), asked);
    },
  });
}

/** The figures of a finished run on its own data, computed again, and how far each can be trusted. */

import { TrainerError } from "../core/errors.js";
import { bootstrap, type Interval } from "../core/interpret/bootstrap.js";
import { type CalibrationBin, calibration, confidences } from "../core/interpret/calibration.js";
import { type ClassFigures, confusion, perClass } from "../core/interpret/confusion.js";
import { atTemperature } from "../core/interpret/temperature.js";
import { wilson } from "../core/interpret/wilson.js";
import { evaluate, lossOfEach, scores } from "../core/loop/evaluate.js";
import { metricsRecord } from "../core/loop/summary.js";
import type { Metrics, Outputs } from "../core/loop/types.js";
import type { Metric } from "../core/metrics.js";
import type { Loss } from "../core/nn/losses.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { finalEvaluation } from "./network.js";
import { type RunWithData, readRunData } from "./run-data.js";

export interface EvaluateOptions {
  /** Default "test". */
  split?: "validation" | "test";
  /** The largest k of top-k. Default 5. */
  top?: number;
  /** Of the bootstrap behind the intervals. Default 1000. */
  resamples?: number;
}

/** A figure and its interval of 95 %. */
export interface Figure extends Interval {
  /** "top-1", "top-5", "loss", "ECE", and the names of the config's metrics. */
  readonly name: string;
  readonly value: number;
}

export interface RunEvaluation extends Omit<Metrics, "outputs"> {
  readonly split: "validation" | "test";
  /** Whether the images are others than the run was trained with; a warning of the run's events then. */
  readonly dataChanged: boolean;
  readonly figures: readonly Figure[];
  readonly perClass: readonly (ClassFigures & { readonly class: string; readonly interval?: Interval })[];
  readonly calibration: readonly CalibrationBin[];
  /** Of a calibrated run: the figures of its probabilities at this temperature. */
  readonly calibrated?: { readonly temperature: number; readonly loss: number; readonly ece: number };
}

/** A run's outputs on a split of its own data. */
export interface SplitOutputs {
  readonly metrics: Metrics;
  readonly outputs: Outputs;
  readonly classes: readonly string[];
  /** The run's own. */
  readonly config: { readonly loss: Loss; readonly metrics: readonly Metric[] };
  /** Whether the images are others than the run was trained with. */
  readonly dataChanged: boolean;
}

/**
 * The probabilities of a run's final weights for every image of a split.
 *
 * @throws TrainerError ERR_DATA where the run has no such images, or the data other classes
 */
export async function outputsOf(
  run: RunWithData,
  split: "validation" | "test",
  log?: (line: string) => void,
): Promise<SplitOutputs> {
  const { trainer, weights: bytes, weightsPath } = run;
  const { session, dataChanged } = await readRunData(run, log);
  const loader = session.loaders[split];
  if (!loader) throw new TrainerError("ERR_DATA", `This run has no ${split} images.`);
  const { model, inputSize, data } = session;
  const { height, width, classes } = data;
  const weights = weightsFromSafetensors(bytes, model.layer, weightsPath);
  try {
    const evaluation = finalEvaluation(trainer, weights);
    const sizes = { classes: classes.length, height, width, inputSize };
    const metrics = (await evaluate({
      model,
      ...sizes,
      loader,
      evaluation,
      loss: trainer.config.loss,
      metrics: trainer.config.metrics,
    }))!;
    return { metrics, outputs: metrics.outputs!, classes, config: trainer.config, dataChanged };
  } finally {
    for (const value of weights.values()) value.dispose();
  }
}

/** All figures of one evaluation, at the run's temperature too where it has one. */
export function evaluationOf(
  { metrics, outputs, classes, config, dataChanged }: SplitOutputs,
  { split = "test", top = 5, resamples = 1000 }: EvaluateOptions,
  temperature?: number,
): RunEvaluation {
  const named = perClass(confusion(outputs, classes.length), classes.length).map((figure, at) => {
    const interval = figure.count > 0 ? wilson(Math.round(figure.recall * figure.count), figure.count) : undefined;
    return { class: classes[at]!, ...figure, interval };
  });
  return {
    split,
    dataChanged,
    ...metricsRecord(metrics)!,
    figures: figuresOf(outputs, classes.length, config, { top, resamples }),
    perClass: named,
    calibration: calibration(confidences(outputs, classes.length)).bins,
    ...(temperature !== undefined && { calibrated: calibratedFigures(outputs, classes.length, temperature) }),
  };
}

/** Top-1, top-k, loss, expected calibration error, and the config's metrics. */
function figuresOf(
  outputs: Outputs,
  classes: number,
  { loss: ofRun, metrics }: SplitOutputs["config"],
  { top, resamples }: { top: number; resamples: number },
): Figure[] {
  const { rank } = scores(outputs, classes);
  const loss = lossOfEach(outputs, classes, ofRun);
  const seen = confidences(outputs, classes);
  const ks = [...new Set([1, top])].filter((k) => k === 1 || k < classes); // of k classes the right one is among k
  const names = [...ks.map((k) => `top-${k}`), "loss", "ECE", ...metrics.map(({ name }) => name)];
  const all = Int32Array.from(rank, (_, at) => at);
  const of = (places: Int32Array): number[] => {
    const mean = (value: (place: number) => number): number =>
      places.reduce((sum, place) => sum + value(place), 0) / places.length;
    const { ece } = calibration(seen, { places });
    const drawn = metrics.length > 0 ? outputsAt(outputs, classes, places) : outputs;
    return [
      ...ks.map((k) => mean((place) => Number(rank[place]! < k))),
      mean((place) => loss[place]!),
      ece,
      ...metrics.map((metric) => metric.compute(drawn, classes)),
    ];
  };
  const values = of(all);
  const intervals = bootstrap(rank.length, of, { resamples });
  return names.map((name, at) => ({ name, value: values[at]!, ...intervals[at]! }));
}

/** The outputs of these images, with repeats. */
function outputsAt({ probabilities, labels }: Outputs, classes: number, places: Int32Array): Outputs {
  const rows = new Float32Array(places.length * classes);
  places.forEach((place, at) => rows.set(probabilities.subarray(place * classes, (place + 1) * classes), at * classes));
  return { probabilities: rows, labels: places.map((place) => labels[place]!) };
}

/** Mean cross entropy and calibration error of probabilities at a temperature. */
export function calibratedFigures(
  { probabilities, labels }: Outputs,
  classes: number,
  temperature: number,
): { temperature: number; loss: number; ece: number } {
  const scaled = { probabilities: atTemperature(probabilities, classes, temperature), labels };
  const { loss } = scores(scaled, classes);
  const { ece } = calibration(confidences(scaled, classes));
  return { temperature, loss: loss.reduce((sum, each) => sum + each, 0) / loss.length, ece };
}

/** A run as something to use: its figures, its weights, and its network for images. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Emitter } from "mitt";
import { loadBackend } from "../core/backend/index.js";
import type { TrainerConfig } from "../core/config/config.js";
import type { Image } from "../core/data/dataset.js";
import { TrainerError } from "../core/errors.js";
import { readWhole } from "../core/files.js";
import { predictedClass } from "../core/interpret/confusion.js";
import { heatMapsOf } from "../core/interpret/heat-maps.js";
import { overlay, rowPng } from "../core/interpret/overlay.js";
import type { Events, MetricsRecord, SummaryRecord } from "../core/loop/events.js";
import { Trainer } from "../core/loop/trainer.js";
import type { Weights } from "../core/nn/layer.js";
import { isChecked } from "../core/nn/safetensors.js";
import { suggestion } from "../core/options.js";
import { type Calibration, type CalibrationResult, readCalibration } from "./calibration.js";
import type { EvaluateOptions, RunEvaluation } from "./evaluate.js";
import { type RunConfigRecord, runFiles } from "./files.js";
import { isHeld } from "./lock.js";
import { classify, type ImageSource, type Network, networkInput, openNetwork, readImage } from "./network.js";
import { configOfRun, inEvaluation, inImages, inNetwork } from "./origin.js";
import { type Answer, answers, type Prediction, type PredictOptions } from "./predict.js";
import { isCutShort, olderNote, readRecord, readSummary } from "./record-files.js";

export interface OpenOptions {
  /** The user's own config: parts that are not built in come from it. */
  config?: TrainerConfig;
  /** Where the run's data lies now, if it moved. */
  data?: string;
  /** Called with the events before anything is loaded: add listeners here. */
  watch?: (events: Emitter<Events>) => void;
  /** Receives lines for people while data and backend are loaded. */
  log?: (line: string) => void;
}

export interface RunGradCamOptions {
  /** Default: the most probable class. */
  class?: string;
  /** Full name of a layer, such as "layer3"; default: the last feature map. */
  layer?: string;
}

export interface ImageGradCam extends Prediction {
  /** The class with the largest probability, which may be another than the explained one. */
  readonly predicted: Prediction;
  /** The image as the network saw it, before normalising. */
  readonly image: Image;
  /** [height, width] of `image`, row by row, each from 0 to 1. */
  readonly map: Float32Array;
  /** A PNG: the image, and beside it the image with the map laid over it. */
  png(): Promise<Uint8Array>;
}

/** What a finished run's folder gives. The package's entry adds `export`. */
export interface OpenedRun {
  /** Absolute path of the run's folder. */
  readonly folder: string;
  /** `summary.json`: steps, epochs, seconds, figures. */
  readonly summary: SummaryRecord;
  /** Figures on the test set, where the run had one and came to its end. */
  readonly test: MetricsRecord | undefined;
  readonly validation: MetricsRecord | undefined;
  /** Class names; a label is a place in this list. */
  readonly classes: readonly string[];
  /** PyTorch's names -> values, in tf.js' layouts. They belong to the run: `dispose` frees them. */
  readonly weights: Weights;
  /**
   * Classifies one image, or several in batches. Each is scaled and cut as the run's data was, and seen as the run's
   * evaluation sees it: the same batch gives the same bits.
   *
   * @throws TrainerError ERR_DATA naming every image that cannot be decoded
   */
  predict(image: ImageSource, options?: PredictOptions): Promise<Prediction[]>;
  predict(images: readonly ImageSource[], options?: PredictOptions): Promise<Prediction[][]>;
  /** The same, one answer after the other. An image that cannot be decoded gives its error, and the next ones follow. */
  predictEach<S extends ImageSource>(
    images: readonly S[],
    options?: PredictOptions,
  ): AsyncGenerator<Answer<S>, void, void>;
  /**
   * Where the network looks for a class in an image.
   *
   * @throws TrainerError ERR_UNKNOWN_NAME for a class or layer that is not there; ERR_DATA for what is no image
   */
  gradCam(image: ImageSource, options?: RunGradCamOptions): Promise<ImageGradCam>;
  /**
   * Computes the figures on the run's own data again, with intervals.
   *
   * @throws TrainerError ERR_DATA where the data is not there, or has no such split
   */
  evaluate(options?: EvaluateOptions): Promise<RunEvaluation>;
  /**
   * Fits a temperature on the validation images, so that probabilities match accuracy (Guo et al. 2017), and writes it to
   * the run's folder. From then on predictions use it, here and in other processes that open the run.
   *
   * @throws TrainerError ERR_DATA where no temperature fits
   */
  calibrate(): Promise<CalibrationResult>;
  /** Frees the weights. The run cannot predict any more. */
  dispose(): void;
}

/**
 * Opens a finished run. A run made of built-in parts needs its folder alone.
 *
 * @param folder `runs/cats-1`
 * @throws TrainerError ERR_DATA for a folder that is no finished run; ERR_CONFIG for one with parts of the user's own that
 *   `config` does not have; ERR_WEIGHTS for damaged weights
 */
export async function openRun(folder: string, options: OpenOptions = {}): Promise<OpenedRun> {
  const files = await openFolder(folder, options);
  warnIfCutShort(files);
  const run = createRun(files, options);
  await loadBackend({
    name: files.trainer.config.backend,
    log: (message) => files.trainer.events.emit("warning", { message }),
  });
  void run.weights; // damaged weights are reported now, not at the first image
  return run;
}

/** Node reads no larger file at once. */
const mostWeightBytes = 2 ** 31 - 1;

/** A finished run's folder, read and checked. */
export interface RunFiles {
  readonly folder: string;
  readonly record: RunConfigRecord;
  readonly summary: SummaryRecord;
  /** Holds config and hooks; never fits. */
  readonly trainer: Trainer;
  readonly weightsPath: string;
  /** `weights.safetensors`. */
  readonly weights: Uint8Array;
  readonly calibration: Calibration | undefined;
}

/** What the user's own parts are needed for. */
type Purpose = "predict" | "images" | "evaluate";

/** Reads a folder, and warns of files of an earlier version: they may be damaged unnoticed. */
export async function openFolder(
  folder: string,
  options: OpenOptions = {},
  purpose: Purpose = "predict",
): Promise<RunFiles> {
  const files = await readFolder(folder, options, purpose);
  const unchecked = [
    ...(isChecked(files.weights) ? [] : [runFiles.weights]),
    ...("checksum" in files.summary ? [] : [runFiles.summary]),
  ];
  const older = olderNote(files.record, unchecked);
  if (older !== undefined) files.trainer.events.emit("warning", { message: older });
  return files;
}

async function readFolder(
  folder: string,
  { config: own, data, watch }: OpenOptions,
  purpose: Purpose,
): Promise<RunFiles> {
  const path = resolve(folder);
  const record = readRecord(path);
  const weightsPath = join(path, runFiles.weights);
  const summaryPath = join(path, runFiles.summary);
  for (const file of [weightsPath, summaryPath]) {
    if (existsSync(file)) continue;
    const why = `${path} is not a finished run: it has no ${basename(file)}.`;
    const advice = isHeld(path)
      ? "It is still training: wait for its end."
      : `Finish it with trainer --resume ${folder}`;
    throw new TrainerError("ERR_DATA", `${why} ${advice}`);
  }
  const needed = { predict: inNetwork, images: inImages, evaluate: inEvaluation }[purpose](record);
  const config = await configOfRun({ folder: path, record }, { own, data, needed });
  const trainer = new Trainer(config);
  watch?.(trainer.events);
  const summary = readSummary(path);
  const weights = readWhole(weightsPath, { most: mostWeightBytes });
  const calibration = readCalibration(path, weights);
  return { folder: path, record, summary, trainer, weightsPath, weights, calibration };
}

/** Warns of a run that was cut short: its weights are those of that moment. */
export function warnIfCutShort({ folder, summary: { stopReason, steps }, trainer }: RunFiles): void {
  if (!isCutShort(stopReason)) return;
  const next = isHeld(folder) ? "It trains again now." : `To finish it: trainer --resume ${folder}`;
  const message = `${folder} ended early (${stopReason}), and its weights are those of step ${steps}. ${next}`;
  trainer.events.emit("warning", { message });
}

/** The run in a folder; its network is built when it is first needed. The backend must be loaded by then. */
export function createRun(files: RunFiles, options: OpenOptions): OpenedRun {
  const { folder, summary, trainer, weights: bytes, weightsPath } = files;
  let temperature = files.calibration?.temperature ?? 1;
  let loaded: Omit<Network, "temperature"> | undefined;
  let disposed = false;
  const network = (): Network => {
    if (disposed)
      throw new TrainerError("ERR_OPTION", `The run ${folder} was disposed of. Open it again with openRun.`);
    loaded ??= openNetwork(trainer, bytes, weightsPath);
    return { ...loaded, temperature };
  };
  const predictEach: OpenedRun["predictEach"] = (images, { batchSize = trainer.config.batchSize, top } = {}) =>
    answers(network, images, { batchSize, top });
  /** Data may be of the user's own, which predicting does not need. What `openFolder` warns of was said then. */
  const forEvaluation = (): Promise<RunFiles> => readFolder(folder, options, "evaluate");

  return {
    folder,
    summary,
    test: summary.test,
    validation: summary.validation,
    get classes() {
      return network().preprocessing.classes;
    },
    get weights() {
      return network().weights;
    },
    predict: (async (images: ImageSource | readonly ImageSource[], asked?: PredictOptions) => {
      const several = Array.isArray(images);
      const found = await all(predictEach(several ? images : [images as ImageSource], asked));
      return several ? found : found[0];
    }) as OpenedRun["predict"],
    predictEach,
    async gradCam(source, { class: name, layer } = {}) {
      const { preprocessing } = network();
      const { classes } = preprocessing;
      const wanted = name === undefined ? undefined : classNumber(classes, name);
      const image = await readImage(source, preprocessing);
      const { model, weights } = network(); // not disposed of since
      // The class and probability of `predict`, all views together; the map is of the plain image.
      const probabilities = classify(network(), [image]);
      const predicted = predictedClass(probabilities, 0, classes.length);
      const explained = wanted ?? predicted;
      const { maps } = heatMapsOf(() => networkInput([image], preprocessing), {
        model,
        weights,
        layer,
        classes: [explained],
        size: [image.height, image.width],
      });
      return {
        class: classes[explained]!,
        probability: probabilities[explained]!,
        predicted: { class: classes[predicted]!, probability: probabilities[predicted]! },
        image,
        map: maps,
        png: () => rowPng([image, overlay(image, maps)]),
      };
    },
    async evaluate(asked = {}) {
      const { evaluationOf, outputsOf } = await import("./evaluate.js");
      const found = await outputsOf(await forEvaluation(), asked.split ?? "test", options.log);
      return evaluationOf(found, asked, temperature === 1 ? undefined : temperature);
    },
    async calibrate() {
      const { calibrate } = await import("./calibrate.js");
      const result = await calibrate(await forEvaluation(), options.log);
      temperature = result.temperature;
      return result;
    },
    dispose() {
      disposed = true;
      for (const value of loaded?.weights.values() ?? []) value.dispose();
      loaded = undefined;
    },
  };
}

/** @throws TrainerError ERR_UNKNOWN_NAME for a class that the run does not have */
export function classNumber(classes: readonly string[], name: string): number {
  const at = classes.indexOf(name);
  if (at >= 0) return at;
  throw new TrainerError("ERR_UNKNOWN_NAME", `The run has no class "${name}"${suggestion(name, classes)}.`);
}

/** All answers, or one error that names every image without one. */
async function all(found: AsyncIterable<Answer>): Promise<Prediction[][]> {
  const predictions: Prediction[][] = [];
  const errors: TrainerError[] = [];
  for await (const answer of found) {
    if ("error" in answer) errors.push(answer.error);
    else predictions.push([...answer.predictions]);
  }
  if (errors.length === 0) return predictions;
  const [first] = errors;
  throw errors.length === 1
    ? first!
    : new TrainerError("ERR_DATA", errors.map(({ message }) => message).join("\n"), { cause: first });
}

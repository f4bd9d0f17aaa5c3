/** A run as something to use: its figures, its weights, and its network for images. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Emitter } from "mitt";
import { loadBackend } from "../core/backend/index.js";
import type { TrainerConfig } from "../core/config/config.js";
import type { Picture } from "../core/data/dataset.js";
import { TrainerError } from "../core/errors.js";
import { heatMapsOf } from "../core/interpret/heat-maps.js";
import { overlay, rowPng } from "../core/interpret/overlay.js";
import type { Events, MetricsRecord, SummaryRecord } from "../core/loop/events.js";
import { Trainer } from "../core/loop/trainer.js";
import type { Weights } from "../core/nn/layer.js";
import { suggestion } from "../core/options.js";
import { classify, type ImageSource, type Network, networkInput, openNetwork, readImage } from "./network.js";
import { configOfRun, inInference } from "./origin.js";
import { type OwnPart, readRecord } from "./parts.js";
import { runFiles } from "./record.js";

export interface OpenOptions {
  /** The user's own config: parts that are not built in come from it. */
  config?: TrainerConfig;
  /** Where the run's data lies now, if it moved. */
  data?: string;
  /** Called with the events before anything is loaded: add listeners here. */
  watch?: (events: Emitter<Events>) => void;
}

/** One answer. */
export interface Prediction {
  readonly class: string;
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number;
}

export interface PredictOptions {
  /** How many classes, the best first. Default: all. */
  top?: number;
  /** Images in a batch. Default: as many as the run's evaluation had. */
  batchSize?: number;
}

export interface RunGradCamOptions {
  /** Default: the most probable class. */
  class?: string;
  /** Full name of a layer, such as "layer3"; default: the last feature map. */
  layer?: string;
}

export interface ImageGradCam extends Prediction {
  /** The image as the network saw it, before normalising. */
  readonly image: Picture;
  /** [height, width] of `image`, row by row, each from 0 to 1. */
  readonly map: Float32Array;
  /** A PNG: the image, and beside it the image under its map. */
  png(): Promise<Uint8Array>;
}

/** A finished run. */
export interface Run {
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
   * evaluation sees it.
   *
   * @throws TrainerError ERR_DATA naming every image that cannot be decoded
   */
  predict(image: ImageSource, options?: PredictOptions): Promise<Prediction[]>;
  predict(images: readonly ImageSource[], options?: PredictOptions): Promise<Prediction[][]>;
  /**
   * Where the network looks for a class in an image.
   *
   * @throws TrainerError ERR_UNKNOWN_NAME for a class or layer that is not there; ERR_DATA for what is no image
   */
  gradCam(image: ImageSource, options?: RunGradCamOptions): Promise<ImageGradCam>;
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
export async function openRun(folder: string, options: OpenOptions = {}): Promise<Run> {
  const files = await openFolder(folder, options);
  const run = createRun(files);
  await loadBackend({
    name: files.trainer.config.backend,
    log: (message) => files.trainer.events.emit("warning", { message }),
  });
  void run.weights; // damaged weights are reported now, not at the first image
  return run;
}

/** A finished run's folder, read and checked. */
export interface RunFiles {
  readonly folder: string;
  readonly summary: SummaryRecord;
  /** Holds config and hooks; never fits. */
  readonly trainer: Trainer;
  readonly weightsPath: string;
  /** `weights.safetensors`. */
  readonly weights: Uint8Array;
}

/** @param needed which of the user's own parts must be there; default those of the network */
export async function openFolder(
  folder: string,
  { config: own, data, watch, needed }: OpenOptions & { needed?: (part: OwnPart) => boolean } = {},
): Promise<RunFiles> {
  const path = resolve(folder);
  const record = readRecord(path);
  const weightsPath = join(path, runFiles.weights);
  const summaryPath = join(path, runFiles.summary);
  for (const file of [weightsPath, summaryPath]) {
    if (existsSync(file)) continue;
    throw new TrainerError(
      "ERR_DATA",
      `${path} is not a finished run: it has no ${basename(file)}. Resume it with trainer --resume ${folder}`,
    );
  }
  const config = await configOfRun({ folder: path, record }, { own, data, needed: needed ?? inInference(record) });
  const trainer = new Trainer(config);
  watch?.(trainer.events);
  const summary = JSON.parse(readFileSync(summaryPath, "utf8")) as SummaryRecord;
  return { folder: path, summary, trainer, weightsPath, weights: readFileSync(weightsPath) };
}

/** The run in a folder; its network is built when it is first needed. The backend must be loaded by then. */
export function createRun({ folder, summary, trainer, weights: bytes, weightsPath }: RunFiles): Run {
  let network: Network | undefined;
  let disposed = false;
  const opened = (): Network => {
    if (disposed)
      throw new TrainerError("ERR_OPTION", `The run ${folder} was disposed of. Open it again with openRun.`);
    return (network ??= openNetwork(trainer, bytes, weightsPath));
  };
  const answers = async (sources: readonly ImageSource[], options: PredictOptions): Promise<Prediction[][]> => {
    const { batchSize = trainer.config.batchSize, top } = options;
    const { preprocessing } = opened();
    const all: Prediction[][] = [];
    for (let from = 0; from < sources.length; from += batchSize) {
      const images = await decoded(sources.slice(from, from + batchSize), (source) => readImage(source, preprocessing));
      all.push(...ranked(classify(opened(), images), preprocessing.classes, top));
    }
    return all;
  };
  return {
    folder,
    summary,
    test: summary.test,
    validation: summary.validation,
    get classes() {
      return opened().preprocessing.classes;
    },
    get weights() {
      return opened().weights;
    },
    predict: (async (images: ImageSource | readonly ImageSource[], options: PredictOptions = {}) =>
      Array.isArray(images)
        ? answers(images, options)
        : (await answers([images as ImageSource], options))[0]!) as Run["predict"],
    async gradCam(source, { class: name, layer } = {}) {
      const { preprocessing } = opened();
      const { classes } = preprocessing;
      const asked = name === undefined ? undefined : [classNumber(classes, name)];
      const image = await readImage(source, preprocessing);
      const { model, weights } = opened(); // not disposed of since
      const {
        classes: [at],
        probabilities: [probability],
        maps,
      } = heatMapsOf(() => networkInput([image], preprocessing), {
        model,
        weights,
        layer,
        classes: asked,
        size: [image.height, image.width],
      });
      return {
        class: classes[at!]!,
        probability: probability!,
        image,
        map: maps,
        png: () => rowPng([image, overlay(image, maps)]),
      };
    },
    dispose() {
      disposed = true;
      for (const value of network?.weights.values() ?? []) value.dispose();
      network = undefined;
    },
  };
}

function classNumber(classes: readonly string[], name: string): number {
  const at = classes.indexOf(name);
  if (at >= 0) return at;
  throw new TrainerError("ERR_UNKNOWN_NAME", `The run has no class "${name}"${suggestion(name, classes)}.`);
}

/** All images of a batch, or one error that names every one that is damaged. */
async function decoded(
  sources: readonly ImageSource[],
  read: (source: ImageSource) => Promise<Picture>,
): Promise<Picture[]> {
  const results = await Promise.allSettled(sources.map(read));
  const problems = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
  if (problems.length === 1) throw problems[0]!;
  if (problems.length > 1) {
    throw new TrainerError("ERR_DATA", problems.map(({ message }) => message).join("\n"), { cause: problems[0] });
  }
  return results.map((result) => (result as PromiseFulfilledResult<Picture>).value);
}

/** Rows of probabilities as answers, the best first; equal ones in the order of the classes. */
function ranked(probabilities: Float32Array, classes: readonly string[], top = classes.length): Prediction[][] {
  return Array.from({ length: probabilities.length / classes.length }, (_, row) =>
    classes
      .map((name, at) => ({ class: name, probability: probabilities[row * classes.length + at]! }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top),
  );
}

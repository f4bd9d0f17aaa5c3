/** A run's graph in int8: ranges from training images, and a comparison with float32 on validation images. */
import * as tf from "@tensorflow/tfjs-core";
import type { Image } from "../core/data/dataset.js";
import { spread } from "../core/data/holdout.js";
import { TrainerError } from "../core/errors.js";
import { fileSize, percent } from "../core/format.js";
import { wilson } from "../core/interpret/wilson.js";
import type { Weights } from "../core/nn/layer.js";
import * as ops from "../core/nn/ops.js";
import { suggestion } from "../core/options.js";
import type { Graph } from "../core/trace/graph.js";
import { interpret } from "../core/trace/interpret.js";
import { trainedRanges } from "../core/trace/ranges.js";
import type { Network } from "../run/network.js";
import type { RunFiles } from "../run/open.js";
import type { Preprocessing } from "../run/preprocessing.js";
import { readRunData } from "../run/run-data.js";
import type { Precision } from "./formats/format.js";
import {
  calibrate,
  type LayerError,
  layerErrors,
  type Quantized,
  quantizedValues,
  type Range,
  simulator,
} from "./quantize.js";

/** The options of an export that are for int8. */
export interface Int8Options {
  /** Training images behind the ranges. */
  readonly calibrate?: number;
  readonly share?: number;
  readonly keepFloat?: readonly string[];
  readonly log?: (line: string) => void;
}

/** The network as exported beside the run's own, on images of the validation split. */
export interface Comparison {
  readonly images: number;
  /** Share of images with the same first class. */
  readonly agreement: number;
  readonly float: Accuracy;
  readonly quantized: Accuracy;
  /** The layers that int8 changes most, each given float32 values before it: what to leave in float32 first. */
  readonly worst: readonly LayerError[];
}

export interface Accuracy {
  readonly top1: number;
  /** Interval of 95 % (Wilson). */
  readonly low: number;
  readonly high: number;
}

/** Below this agreement int8 is worth a warning. */
const fairAgreement = 0.95;
/** Training images that errors of layers come from, and how many layers are named. */
const errorImages = 64;
const namedLayers = 5;
/** Images of the validation split that int8 is compared on, at most. */
const comparedImages = 2000;

/** The values of the graph in int8, and the int8 network beside the float one on images that neither was made from. */
export async function quantizeGraph(
  graph: Graph,
  files: RunFiles,
  { preprocessing, weights }: Pick<Network, "preprocessing" | "weights">,
  options: Int8Options,
  temperature = 1,
): Promise<{ precision: Precision; comparison: Comparison }> {
  const { calibrate: count = 256, share = 1, keepFloat = [], log = () => {} } = options;
  const kept = valuesOfLayers(graph, keepFloat);
  const trained = rangesOfTraining(graph, weights, temperature);
  if (trained) checkNothingCalibrates(options);
  const { data, trainIndices, validationIndices } = (await readRunData(files, log)).session;
  const places = spread(validationIndices, comparedImages);
  if (places.length === 0) {
    throw new TrainerError(
      "ERR_DATA",
      'int8 is compared with float32 on validation images, and this run has none. Train with a "holdout", or choose "int8-dynamic".',
    );
  }
  const seen = await data.train.read(spread(trainIndices, count));
  if (trained) log("The ranges are those of training (plugin quantize-aware).");
  else if (trainedRanges(weights)) {
    log(
      "The run's weights are of an epoch before quantize-aware: they have no ranges, which come from images instead.",
    );
  }
  const ranges = trained ?? calibrate(graph, () => batchesOf(seen, preprocessing), { share });
  const values = quantizedValues(graph, ranges);
  const images = await data.train.read(places);
  const labels = places.map((place) => data.train.labels[place]!);
  const comparison: Comparison = {
    ...compared(graph, simulator(graph, values, kept), batchesOf(images, preprocessing), labels),
    worst: worstLayers(graph, values, kept, batchesOf(seen.slice(0, errorImages), preprocessing, 8)),
  };
  if (comparison.agreement < fairAgreement) log(advice(comparison));
  return { precision: { kind: "int8", values, kept }, comparison };
}

/** @throws TrainerError ERR_OPTION for options that would change nothing */
function checkNothingCalibrates(options: Int8Options): void {
  const unused = (["calibrate", "share"] as const).find((name) => options[name] !== undefined);
  if (unused === undefined) return;
  throw new TrainerError(
    "ERR_OPTION",
    `"${unused}" is for ranges of calibration. This run has those of training (plugin quantize-aware). Remove "${unused}".`,
  );
}

/** The ranges that `quantize-aware` trained, for every value of the graph; undefined where the run did not get there. */
export function rangesOfTraining(graph: Graph, weights: Weights, temperature = 1): Map<string, Range> | undefined {
  const trained = trainedRanges(weights);
  if (!trained?.size) return undefined;
  const [low, high] = trained.get(graph.output)!;
  return new Map<string, Range>(trained)
    .set(graph.output, [low / temperature, high / temperature])
    .set(graph.input, [0, 255]);
}

/** Both networks on labelled images; disposes the batches. */
function compared(
  graph: Graph,
  simulate: (images: tf.Tensor) => tf.Tensor,
  batches: Iterable<tf.Tensor>,
  labels: ArrayLike<number>,
): Omit<Comparison, "worst"> {
  const answers = { float: [] as number[], quantized: [] as number[] };
  for (const batch of batches) {
    tf.tidy(() => {
      answers.float.push(...tf.argMax(interpret(graph, batch), 1).dataSync());
      answers.quantized.push(...tf.argMax(simulate(batch), 1).dataSync());
    });
    batch.dispose();
  }
  const same = answers.float.filter((each, at) => each === answers.quantized[at]).length;
  return {
    images: labels.length,
    agreement: same / labels.length,
    float: accuracyOf(answers.float, labels),
    quantized: accuracyOf(answers.quantized, labels),
  };
}

function accuracyOf(found: readonly number[], labels: ArrayLike<number>): Accuracy {
  const hits = found.filter((each, at) => each === labels[at]).length;
  return { top1: hits / labels.length, ...wilson(hits, labels.length) };
}

/**
 * A comparison for people.
 *
 * @param files those in int8
 */
export function comparisonLines(
  { images, agreement, float, quantized }: Comparison,
  files: readonly { readonly format: string; readonly bytes: number; readonly float32Bytes: number }[],
): string[] {
  const row = (name: string, { top1, low, high }: Accuracy, bytesOf: (file: (typeof files)[number]) => number) => {
    const sizes = files.map((file) => `${file.format} ${fileSize(bytesOf(file))}`);
    return `${name.padEnd(9)}top-1 ${percent(top1)} (95 % interval ${percent(low)} to ${percent(high)}), ${sizes.join(", ")}`;
  };
  return [
    `int8 and float32 on ${images} validation images: the same class on ${percent(agreement)}`,
    row("float32", float, ({ float32Bytes }) => float32Bytes),
    row("int8", quantized, ({ bytes }) => bytes),
  ];
}

/** The layers that int8 changes most, those that stay in float32 apart. */
const worstLayers = (
  graph: Graph,
  values: ReadonlyMap<string, Quantized>,
  kept: ReadonlySet<string>,
  batches: Iterable<tf.Tensor>,
): LayerError[] =>
  layerErrors(graph, values, batches)
    .filter(({ layer }) => !kept.has(layer))
    .slice(0, namedLayers);

function advice({ agreement, images, worst }: Comparison): string {
  const names = worst.map(({ layer, error }) => `${layer} (${(100 * error).toFixed(0)} %)`);
  return (
    `int8 agrees with float32 on ${(100 * agreement).toFixed(1)} % of ${images} validation images. ` +
    `It changes these layers most: ${names.join(", ")}. Leave layers in float32 with --keep-float, ` +
    'or choose "int8-dynamic".'
  );
}

/**
 * The values that layers make: those of the layer of that name and of all below it.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME for a layer that the graph does not have
 */
function valuesOfLayers(graph: Graph, names: readonly string[]): Set<string> {
  const layers = graph.nodes.map(({ out }) => out);
  const kept = new Set<string>();
  for (const name of names) {
    // A layer that makes several values has them numbered: "layer1.0", "layer1.0_1".
    const own = layers.filter((each) => each.startsWith(name) && /^(_\d+)?(\.|$)/.test(each.slice(name.length)));
    if (own.length === 0) {
      throw new TrainerError(
        "ERR_UNKNOWN_NAME",
        `"--keep-float": the graph has no layer "${name}"${suggestion(name, layers)}.`,
      );
    }
    for (const each of own) kept.add(each);
  }
  return kept;
}

/** As many images as have the values of 32 images of 112 pixels: at 224 pixels a batch of 32 takes gigabytes. */
const imagesAtOnce = (side: number): number => Math.max(1, Math.min(32, Math.floor((32 * 112 ** 2) / side ** 2)));

/** Images as the exported model takes them, [batch, size, size, 3], 0 to 255; the tensors are the caller's. */
function* batchesOf(
  images: readonly Image[],
  { inputSize }: Preprocessing,
  size = imagesAtOnce(inputSize),
): Generator<tf.Tensor> {
  for (let from = 0; from < images.length; from += size) {
    const batch = images.slice(from, from + size);
    const { height, width, pixels } = batch[0]!;
    const values = new Float32Array(batch.length * pixels.length);
    batch.forEach((each, at) => values.set(each.pixels, at * pixels.length));
    yield tf.tidy(() =>
      ops.resize(tf.tensor4d(values, [batch.length, height, width, 3]), inputSize, inputSize).clone(),
    );
  }
}

/** Evaluation: inference over a split in its own order, true labels, no training hooks. */
import * as tf from "@tensorflow/tfjs-core";
import type { Loader } from "../data/loader.js";
import { alone, type Group } from "../group/group.js";
import { type Metric, rankOf } from "../metrics.js";
import { forward } from "../nn/layer.js";
import type { Loss } from "../nn/losses.js";
import type { Model } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { valuesOf } from "../nn/values.js";
import type { Evaluation, Metrics, Outputs, View } from "./types.js";

export interface EvaluateOptions {
  model: Model;
  classes: number;
  height: number;
  width: number;
  inputSize: number;
  loader: Loader;
  evaluation: Evaluation;
  /** Default: cross entropy. */
  loss?: Loss;
  /** More figures; they are in `more` of the result. */
  metrics?: readonly Metric[];
  /** Asked between batches; true ends the evaluation with what was seen so far thrown away. */
  cancelled?: () => boolean;
  /** The processes that share the batches out. Default: this one alone. */
  group?: Group;
}

/** The plain image. */
export const plainView = { name: "plain", apply: (images: tf.Tensor4D): tf.Tensor4D => images };

/** Evaluates a split; undefined when it was cancelled. */
export async function evaluate(options: EvaluateOptions): Promise<Metrics | undefined> {
  const { model, classes, height, width, inputSize, loader, evaluation, cancelled, loss, metrics = [] } = options;
  const { group = alone } = options;
  const perView: Float32Array[][] = evaluation.views.map(() => []);
  const labels: number[] = [];
  const places: number[] = [];
  let stopped = false;
  for await (const raw of loader.epoch(0, Math.min(group.rank, loader.batchesInEpoch), group.size)) {
    stopped = cancelled?.() ?? false;
    if (stopped) break;
    tf.tidy(() => {
      const images = tf.tensor4d(raw.images, [raw.size, height, width, 3]);
      const sized = ops.resize(images, inputSize, inputSize) as tf.Tensor4D;
      viewOutputs({ model, ...evaluation }, sized).forEach((rows, view) => perView[view]!.push(rows));
    });
    labels.push(...raw.labels);
    places.push(...raw.indices);
    await new Promise(setImmediate);
  }
  const own = { views: perView.map((chunks) => joined(chunks)), labels };
  if (group.size === 1 && stopped) return undefined;
  const found = group.size === 1 ? own : ofAll(group, own, { places, stopped, classes, images: loader.images });
  if (!found) return undefined;
  const { views } = found;
  const probabilitiesOf = (some: readonly Float32Array[]): Float32Array => combineViews(some, evaluation, classes);
  const first: Outputs = { probabilities: probabilitiesOf(views.slice(0, 1)), labels: Int32Array.from(found.labels) };
  const outputs = views.length === 1 ? first : { ...first, probabilities: probabilitiesOf(views) };
  return {
    ...figures(outputs, classes, loss),
    count: found.labels.length,
    source: evaluation.source,
    ...(views.length > 1 ? { singleView: figures(first, classes, loss) } : {}),
    ...(metrics.length > 0 ? { more: moreFigures(outputs, classes, metrics) } : {}),
    outputs,
  };
}

/**
 * The answers of all processes in one sum, each in its place among zeros: x + 0 is x to the bit. Undefined if one of them was
 * asked to stop.
 */
function ofAll(
  group: Group,
  own: { views: readonly Float32Array[]; labels: readonly number[] },
  {
    places,
    stopped,
    classes,
    images,
  }: { places: readonly number[]; stopped: boolean; classes: number; images: number },
): { views: Float32Array[]; labels: Float32Array } | undefined {
  const block = images * classes; // of a view
  const slots = new Float32Array(own.views.length * block + images + 1);
  const labelsAt = own.views.length * block;
  places.forEach((place, row) => {
    slots[labelsAt + place] = own.labels[row]!;
    own.views.forEach((rows, view) =>
      slots.set(rows.subarray(row * classes, (row + 1) * classes), view * block + place * classes),
    );
  });
  slots[labelsAt + images] = Number(stopped);
  const sum = valuesOf(() => group.sum(tf.tensor1d(slots)));
  if (sum[labelsAt + images]! > 0) return undefined;
  const views = own.views.map((_, view) => sum.slice(view * block, (view + 1) * block));
  return { views, labels: sum.subarray(labelsAt, labelsAt + images) };
}

/** How the views of an evaluation become one answer. */
export type Averaging = Pick<Evaluation, "views" | "average">;

/**
 * What a network answers to images: of each view the numbers to average [images, classes], row by row. Inside a tidy.
 *
 * @param images [images, inputSize, inputSize, 3], normalised
 */
export function viewOutputs(
  { model, weights, views, average }: { model: Model; weights: Evaluation["weights"] } & Averaging,
  images: tf.Tensor4D,
): Float32Array[] {
  return views.map((view) => {
    const logits = forward(model.layer, view.apply(images), { weights });
    return (average === "logits" ? logits : tf.softmax(logits)).dataSync() as Float32Array;
  });
}

/** An image at a time: what the mean figures are means of. */
export interface Scores {
  /** Minus the natural logarithm of the true class's probability. */
  readonly loss: Float64Array;
  /** Other classes at least as probable as the true one: top-k is a rank below k. */
  readonly rank: Float64Array;
}

/** Cross entropy and rank of each image. Ties, and rows that are not numbers, count as `rankOf` says. */
export function scores({ probabilities, labels }: Outputs, classes: number): Scores {
  const loss = new Float64Array(labels.length);
  const rank = new Float64Array(labels.length);
  labels.forEach((label, row) => {
    const own = probabilities[row * classes + label]!;
    loss[row] = Number.isFinite(own) ? -Math.log(Math.max(own, 1e-38)) : Number.NaN;
    rank[row] = rankOf(probabilities, row, classes, label);
  });
  return { loss, rank };
}

/** Mean loss (cross entropy unless another is given), top-1 and top-5. */
export function figures(outputs: Outputs, classes: number, loss?: Loss): { loss: number; top1: number; top5: number } {
  const { loss: each, rank } = scores(outputs, classes);
  const share = (k: number): number => rank.reduce((hits, place) => hits + Number(place < k), 0) / rank.length;
  const other = loss && loss.name !== "cross-entropy" ? lossOf(loss, outputs, classes) : undefined;
  return { loss: other ?? each.reduce((sum, one) => sum + one, 0) / each.length, top1: share(1), top5: share(5) };
}

/** Images of one call of a loss. */
const chunk = 1024;

/** The mean of a loss over all images. */
function lossOf(loss: Loss, outputs: Outputs, classes: number): number {
  const { length } = outputs.labels;
  let sum = 0;
  for (let start = 0; start < length; start += chunk) {
    const end = Math.min(length, start + chunk);
    sum += (end - start) * lossBetween(loss, outputs, classes, start, end);
  }
  return sum / length;
}

/** The loss of each image: cross entropy by its formula, any other in a batch of one. */
export function lossOfEach(outputs: Outputs, classes: number, loss: Loss): Float64Array {
  if (loss.name === "cross-entropy") return scores(outputs, classes).loss;
  return Float64Array.from(outputs.labels, (_, row) => lossBetween(loss, outputs, classes, row, row + 1));
}

/** The mean of a loss over some rows. Logarithms of probabilities are logits of the same distribution. */
function lossBetween(loss: Loss, outputs: Outputs, classes: number, from: number, to: number): number {
  return tf.tidy(() => {
    const rows = outputs.probabilities.subarray(from * classes, to * classes);
    const logits = tf.tensor2d(
      rows.map((value) => Math.log(Math.max(value, 1e-38))),
      [to - from, classes],
    );
    const labels = tf.tensor1d(outputs.labels.subarray(from, to), "int32");
    const targets = tf.cast(tf.oneHot(labels, classes), "float32");
    return loss.compute(logits, targets).dataSync()[0]!;
  });
}

const moreFigures = (outputs: Outputs, classes: number, metrics: readonly Metric[]): Record<string, number> =>
  Object.fromEntries(metrics.map((metric) => [metric.name, metric.compute(outputs, classes)]));

function joined(chunks: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Probabilities [images, classes] from what `viewOutputs` gave: the weighted mean over the first views, softmax of logits. */
export function combineViews(
  outputs: readonly Float32Array[],
  { views, average }: Averaging,
  classes: number,
): Float32Array {
  const mean = outputs.length === 1 ? outputs[0]! : weightedMean(outputs, views);
  return average === "logits" ? softmaxRows(mean, classes) : mean;
}

function weightedMean(outputs: readonly Float32Array[], views: readonly View[]): Float32Array {
  const weights = outputs.map((_, view) => views[view]!.weight ?? 1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(
    outputs[0]!,
    (_, at) => outputs.reduce((sum, output, view) => sum + weights[view]! * output[at]!, 0) / total,
  );
}

function softmaxRows(logits: Float32Array, classes: number): Float32Array {
  const probabilities = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    const row = logits.subarray(start, start + classes);
    const largest = Math.max(...row);
    const powers = Float64Array.from(row, (logit) => Math.exp(logit - largest));
    const sum = powers.reduce((total, power) => total + power, 0);
    powers.forEach((power, at) => (probabilities[start + at] = power / sum));
  }
  return probabilities;
}

/** Evaluation: inference over a split in its own order, true labels, no training hooks. */
import * as tf from "@tensorflow/tfjs-core";
import type { Loader } from "../data/loader.js";
import { forward } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import type { Evaluation, Metrics, Outputs } from "./types.js";

export interface EvaluateOptions {
  model: Model;
  classes: number;
  height: number;
  width: number;
  inputSize: number;
  loader: Loader;
  evaluation: Evaluation;
  /** Asked between batches; true ends the evaluation with what was seen so far thrown away. */
  cancelled?: () => boolean;
}

/** The plain image. */
export const plainView = { name: "plain", apply: (images: tf.Tensor4D): tf.Tensor4D => images };

/** Evaluates a split; undefined when it was cancelled. */
export async function evaluate(options: EvaluateOptions): Promise<Metrics | undefined> {
  const { model, classes, height, width, inputSize, loader, evaluation, cancelled } = options;
  const perView: Float32Array[][] = evaluation.views.map(() => []);
  const labels: number[] = [];
  for await (const raw of loader.epoch(0)) {
    if (cancelled?.()) return undefined;
    tf.tidy(() => {
      const images = tf.tensor4d(raw.images, [raw.size, height, width, 3]);
      const sized = ops.resize(images, inputSize, inputSize) as tf.Tensor4D;
      const { weights, views } = evaluation;
      viewProbabilities({ model, weights, views }, sized).forEach((rows, view) => perView[view]!.push(rows));
    });
    labels.push(...raw.labels);
    await new Promise(setImmediate);
  }
  const views = perView.map((chunks) => joined(chunks));
  const first: Outputs = { probabilities: views[0]!, labels: Int32Array.from(labels) };
  const outputs = { ...first, probabilities: meanOfViews(views) };
  return {
    ...figures(outputs, classes),
    count: labels.length,
    source: evaluation.source,
    ...(views.length > 1 ? { singleView: figures(first, classes) } : {}),
    outputs,
  };
}

/**
 * What a network answers to images: of each view the probabilities [images, classes], row by row. Inside a tidy.
 *
 * @param images [images, inputSize, inputSize, 3], normalised
 */
export function viewProbabilities(
  { model, weights, views }: { model: Model } & Pick<Evaluation, "weights" | "views">,
  images: tf.Tensor4D,
): Float32Array[] {
  return views.map(
    (view) => tf.softmax(forward(model.layer, view.apply(images), { weights })).dataSync() as Float32Array,
  );
}

/** An image at a time: what the mean figures are means of. */
export interface Scores {
  /** Minus the natural logarithm of the true class's probability. */
  readonly loss: Float64Array;
  /** Other classes at least as probable as the true one: top-k is a rank below k. */
  readonly rank: Float64Array;
}

/**
 * A tie counts against the model, and so does a row that is not a number: argMax of NaN is 0, which would score a
 * diverged model like a coin.
 */
export function scores({ probabilities, labels }: Outputs, classes: number): Scores {
  const loss = new Float64Array(labels.length);
  const rank = new Float64Array(labels.length);
  labels.forEach((label, row) => {
    const own = probabilities[row * classes + label]!;
    loss[row] = Number.isFinite(own) ? -Math.log(Math.max(own, 1e-38)) : Number.NaN;
    let above = Number.isFinite(own) ? 0 : Number.POSITIVE_INFINITY;
    for (let other = 0; other < classes; other++) {
      if (other !== label && probabilities[row * classes + other]! >= own) above++;
    }
    rank[row] = above;
  });
  return { loss, rank };
}

/** Mean loss, top-1 and top-5. */
export function figures(outputs: Outputs, classes: number): { loss: number; top1: number; top5: number } {
  const { loss, rank } = scores(outputs, classes);
  const share = (k: number): number => rank.reduce((hits, each) => hits + Number(each < k), 0) / rank.length;
  return { loss: loss.reduce((sum, each) => sum + each, 0) / loss.length, top1: share(1), top5: share(5) };
}

function joined(chunks: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** The mean over views of each number. */
export function meanOfViews(views: readonly Float32Array[]): Float32Array {
  if (views.length === 1) return views[0]!;
  return Float32Array.from(views[0]!, (_, index) => views.reduce((sum, view) => sum + view[index]!, 0) / views.length);
}

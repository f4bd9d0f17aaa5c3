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

/** The plain picture. */
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
      evaluation.views.forEach((view, index) => {
        const logits = forward(model.layer, view.apply(sized), { weights: evaluation.weights });
        perView[index]!.push(tf.softmax(logits).dataSync() as Float32Array);
      });
    });
    labels.push(...raw.labels);
    await new Promise(setImmediate);
  }
  const views = perView.map((chunks) => joined(chunks));
  const first: Outputs = { probabilities: views[0]!, labels: Int32Array.from(labels) };
  const outputs = views.length === 1 ? first : { ...first, probabilities: meanOf(views) };
  return {
    ...figures(outputs, classes),
    count: labels.length,
    source: evaluation.source,
    ...(views.length > 1 ? { singleView: figures(first, classes) } : {}),
    outputs,
  };
}

/**
 * Loss (natural logarithm of the true class, mean), top-1 and top-5. A tie counts against the model, and so does a
 * row that is not a number: argMax of NaN is 0, which would score a diverged model like a coin.
 */
export function figures({ probabilities, labels }: Outputs, classes: number): { loss: number; top1: number; top5: number } {
  let loss = 0;
  let top1 = 0;
  let top5 = 0;
  labels.forEach((label, row) => {
    const own = probabilities[row * classes + label]!;
    loss -= Math.log(Math.max(own, 1e-38));
    if (!Number.isFinite(own)) loss = Number.NaN;
    let above = Number.isFinite(own) ? 0 : Number.POSITIVE_INFINITY;
    for (let other = 0; other < classes; other++) {
      if (other !== label && probabilities[row * classes + other]! >= own) above++;
    }
    if (above < 1) top1++;
    if (above < 5) top5++;
  });
  const count = labels.length;
  return { loss: loss / count, top1: top1 / count, top5: top5 / count };
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

function meanOf(views: readonly Float32Array[]): Float32Array {
  return Float32Array.from(views[0]!, (_, index) => views.reduce((sum, view) => sum + view[index]!, 0) / views.length);
}

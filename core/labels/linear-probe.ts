/** A linear classifier on given features: multinomial logistic regression, by accelerated gradient descent (Nesterov 2004, 2.2.2). */
import * as tf from "@tensorflow/tfjs-core";
import { valuesOf } from "../nn/values.js";

export interface Features {
  /** [images, size] row by row. */
  readonly values: Float32Array;
  readonly size: number;
}

/** Weights of the squared norm that are tried, the strongest first: each fit starts where the one before it ended. */
const penalties = [1, 0.3, 0.1, 0.03] as const;
const iterations = 300;
/** Norm of the gradient at which a fit ends. */
const tolerance = 1e-4;

/**
 * Out-of-fold probabilities [images, classes]: each image's by a probe that was fitted to the other folds. Features are scaled to
 * mean 0 and deviation 1. The penalty is the one with the smallest out-of-fold cross entropy.
 */
export function probeOutOfFold(
  features: Features,
  labels: ArrayLike<number>,
  { folds, classes }: { folds: Int32Array; classes: number },
): { probabilities: Float32Array; penalty: number; loss: number } {
  const found = penalties.map((penalty) => ({ penalty, probabilities: new Float32Array(labels.length * classes) }));
  const scaled = standardised(features);
  for (const fold of new Set(folds)) {
    const places = [...folds.keys()];
    const [inside, outside] = [
      places.filter((at) => folds[at] !== fold),
      places.filter((at) => folds[at] === fold),
    ] as const;
    const answers = fitEach(
      rowsAt(scaled, inside),
      inside.map((at) => labels[at]!),
      rowsAt(scaled, outside),
      { size: features.size, classes },
    );
    for (const [each, rows] of answers.entries()) {
      const { probabilities } = found[each]!;
      outside.forEach((at, row) => probabilities.set(rows.subarray(row * classes, (row + 1) * classes), at * classes));
    }
  }
  const losses = found.map(({ probabilities }) => crossEntropy(probabilities, labels, classes));
  const best = losses.indexOf(Math.min(...losses));
  return { ...found[best]!, loss: losses[best]! };
}

function crossEntropy(probabilities: Float32Array, labels: ArrayLike<number>, classes: number): number {
  let sum = 0;
  for (let row = 0; row < labels.length; row++)
    sum -= Math.log(Math.max(probabilities[row * classes + labels[row]!]!, 1e-38));
  return sum / labels.length;
}

/** Mean 0 and deviation 1 of each feature; one that is the same everywhere is 0. */
function standardised({ values, size }: Features): Features {
  const rows = values.length / size;
  const [mean, square] = [new Float64Array(size), new Float64Array(size)];
  values.forEach((value, at) => {
    mean[at % size]! += value / rows;
  });
  values.forEach((value, at) => {
    square[at % size]! += (value - mean[at % size]!) ** 2 / rows;
  });
  const scale = square.map((variance) => (variance > 1e-12 ? 1 / Math.sqrt(variance) : 0));
  return { values: values.map((value, at) => (value - mean[at % size]!) * scale[at % size]!), size };
}

function rowsAt({ values, size }: Features, places: readonly number[]): Float32Array {
  const rows = new Float32Array(places.length * size);
  places.forEach((place, row) => rows.set(values.subarray(place * size, (place + 1) * size), row * size));
  return rows;
}

/** For each penalty the probabilities of `asked`. */
function fitEach(
  given: Float32Array,
  labels: readonly number[],
  asked: Float32Array,
  { size, classes }: { size: number; classes: number },
): Float32Array[] {
  const answers: Float32Array[] = [];
  tf.tidy(() => {
    const x = tf.tensor2d(given, [labels.length, size]);
    const other = tf.tensor2d(asked, [asked.length / size, size]);
    const targets = tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(labels), "int32"), classes), "float32");
    const curvature = 0.5 * (largestEigenvalue(x) + 1); // of the cross entropy, with its bias (Böhning 1992)
    let state = { weights: tf.zeros([size, classes]) as tf.Tensor2D, bias: tf.zeros([classes]) as tf.Tensor1D };
    for (const penalty of penalties) {
      const before = state;
      state = fit(x, targets, before, { penalty, curvature: curvature + penalty });
      tf.dispose(before);
      const rows = valuesOf(() => tf.softmax(tf.add(tf.matMul(other, state.weights), state.bias)));
      answers.push(rows);
    }
  });
  return answers;
}

interface Probe {
  readonly weights: tf.Tensor2D;
  readonly bias: tf.Tensor1D;
}

function fit(
  x: tf.Tensor2D,
  targets: tf.Tensor,
  start: Probe,
  { penalty, curvature }: { penalty: number; curvature: number },
): Probe {
  const root = Math.sqrt(penalty / curvature);
  const momentum = (1 - root) / (1 + root);
  const images = x.shape[0];
  let at = { weights: start.weights.clone(), bias: start.bias.clone() };
  let ahead = { weights: start.weights.clone(), bias: start.bias.clone() };
  for (let iteration = 0; iteration < iterations; iteration++) {
    const [now, point] = [at, ahead];
    const step = tf.tidy(() => {
      const probabilities = tf.softmax(tf.add(tf.matMul(x, point.weights), point.bias));
      const error = tf.div(tf.sub(probabilities, targets), images);
      const slope = tf.add(tf.matMul(x, error as tf.Tensor2D, true), tf.mul(point.weights, penalty)) as tf.Tensor2D;
      const slopeOfBias = tf.sum(error, 0) as tf.Tensor1D;
      const weights = tf.sub(point.weights, tf.div(slope, curvature)) as tf.Tensor2D;
      const bias = tf.sub(point.bias, tf.div(slopeOfBias, curvature)) as tf.Tensor1D;
      const beyond = <T extends tf.Tensor>(from: T, to: T): T => tf.add(to, tf.mul(tf.sub(to, from), momentum)) as T;
      return {
        weights,
        bias,
        aheadWeights: beyond(now.weights, weights),
        aheadBias: beyond(now.bias, bias),
        norm: tf.sqrt(tf.add(tf.sum(tf.square(slope)), tf.sum(tf.square(slopeOfBias)))),
      };
    });
    tf.dispose([now.weights, now.bias, point.weights, point.bias]);
    at = { weights: step.weights, bias: step.bias };
    ahead = { weights: step.aheadWeights, bias: step.aheadBias };
    const norm = iteration % 10 === 9 ? step.norm.dataSync()[0]! : Number.POSITIVE_INFINITY;
    step.norm.dispose();
    if (norm < tolerance) break;
  }
  tf.dispose([ahead.weights, ahead.bias]);
  return at;
}

/** Of xᵀx over the rows, by power iteration, and a tenth above it: an estimate from below would let steps grow. */
function largestEigenvalue(x: tf.Tensor2D): number {
  return tf.tidy(() => {
    const [rows, size] = x.shape;
    let vector = tf.fill([size, 1], 1 / Math.sqrt(size)) as tf.Tensor2D;
    vector = tf.add(vector, tf.mul(tf.range(0, size, 1).expandDims(1), 1e-3 / size)) as tf.Tensor2D;
    let value = 0;
    for (let round = 0; round < 20; round++) {
      const next = tf.div(tf.matMul(x, tf.matMul(x, vector), true), rows);
      value = tf.norm(next).dataSync()[0]!;
      if (value === 0) return 0;
      vector = tf.div(next, value) as tf.Tensor2D;
    }
    return 1.1 * value;
  });
}

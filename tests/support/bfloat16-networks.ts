/** Whole networks in bfloat16 beside the same in float32. */

import * as tf from "@tensorflow/tfjs-core";
import { expect } from "vitest";
import { isBfloat16 } from "../../core/backend/bfloat16.js";
import { ops } from "../../core/index.js";
import { models } from "../../core/models/index.js";
import { valueAndGradients } from "../../core/nn/backward.js";
import { forward, initialWeights, inPrecision, type Layer, namedParameters } from "../../core/nn/layer.js";
import { makePart } from "../../core/parts.js";

export const normal = (shape: number[], seed: number): tf.Tensor => tf.randomNormal(shape, 0, 1, "float32", seed);

/** |a - b| / |b| over all numbers. */
export const apart = (a: tf.Tensor, b: tf.Tensor): number => {
  const [x, y] = [a.dataSync(), b.dataSync()];
  const norm = (values: ArrayLike<number>): number =>
    Math.sqrt(Array.from(values).reduce((sum, value) => sum + value ** 2, 0));
  return norm(Array.from(x, (value, index) => value - y[index]!)) / norm(y);
};

type Name = keyof typeof models;
const isDeep = (name: Name): boolean => /^resnet\d{3}$|^resnet34$/.test(name);
const names = Object.keys(models) as Name[];
/** The networks of each kind for every run of the tests; the deep ones take most of the time and wait for the long suite. */
export const shallow = names.filter((name) => !isDeep(name));
export const deep = names.filter(isDeep);

const through = <T>(layer: T): T => layer;

/**
 * Logits and gradients of a network in bfloat16 are float32, and near those of the same in float32.
 *
 * With the statistics of a batch of 8, deep networks at their first weights turn any rounding into another gradient:
 * PyTorch's autocast has cosines of 0.90, 0.68, 0.05 and -0.06 there for ResNet-18, 34, 50 and 101.
 */
export function mustResembleFloat32(name: Name): void {
  const { layer } = makePart(models[name]({})).build({
    inputSize: 32,
    classes: 10,
    buildBlock: through,
    buildHead: through,
  });
  const weights = initialWeights(layer, 1);
  tf.tidy(() => {
    const images = normal([8, 32, 32, 3], 5);
    const targets = tf.cast(tf.oneHot(tf.range(0, 8, 1, "int32"), 10), "float32");
    const training = name === "resnet18" || name === "resnet9" || name === "wrn";
    const parameters = [...namedParameters(layer).keys()].map((each) => weights.get(each)!);
    const run = (of: Layer): { loss: number; gradients: tf.Tensor[] } => {
      const loss = (): tf.Scalar => {
        const logits = forward(of, images, { weights, training });
        expect(isBfloat16(logits)).toBe(false);
        return ops.softCrossEntropy(logits, targets) as tf.Scalar;
      };
      const { value, gradients } = valueAndGradients(loss, parameters);
      return { loss: value.dataSync()[0]!, gradients: gradients.map((each) => each!) };
    };
    const [mine, plain] = [run(inPrecision(layer, "bfloat16")), run(layer)];
    expect(mine.gradients.filter(isBfloat16)).toEqual([]);
    expect(Math.abs(mine.loss - plain.loss) / plain.loss, name).toBeLessThan(0.05);
    // Rounding to 8 bits at each of dozens of layers, with batches of 8 behind each norm: the deeper, the further apart.
    const flat = (tensors: tf.Tensor[]): tf.Tensor => tf.concat(tensors.map((each) => tf.reshape(each, [-1])));
    const [a, b] = [flat(mine.gradients), flat(plain.gradients)];
    const cosine = tf.div(tf.sum(tf.mul(a, b)), tf.mul(tf.norm(a), tf.norm(b))).dataSync()[0]!;
    expect(cosine, name).toBeGreaterThan(0.85);
  });
  for (const value of weights.values()) value.dispose();
}

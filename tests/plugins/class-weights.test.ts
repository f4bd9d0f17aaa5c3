import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../core/data/index.js";
import { loadBackend, losses, ops } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { classWeights, inverseWeights, weighTargets } from "../../plugins/class-weights/index.js";
import { smooth } from "../../plugins/label-smoothing/index.js";

beforeAll(async () => void (await loadBackend()));

interface Golden {
  labels: number[];
  weighted: { weights: number[]; smoothing: number; logits: number[][]; loss: number; gradient: number[][] }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/torch/mixing.json", import.meta.url), "utf8")) as Golden;

describe("class-weights", () => {
  it.each(golden.weighted)("gives PyTorch's weighted cross entropy: $weights, smoothing $smoothing", (each) => {
    tf.tidy(() => {
      const oneHot = tf.oneHot(tf.tensor1d(golden.labels, "int32"), 3).toFloat() as tf.Tensor2D;
      const targets = weighTargets(smooth(oneHot, each.smoothing), Int32Array.from(golden.labels), each.weights);
      const { value, grad } = tf.valueAndGrad((logits) => ops.softCrossEntropy(logits, targets) as tf.Scalar)(
        tf.tensor2d(each.logits),
      ) as unknown as { value: tf.Scalar; grad: tf.Tensor };
      expect(value.dataSync()[0]).toBeCloseTo(each.loss, 5);
      each.gradient.flat().forEach((slope, at) => expect(grad.dataSync()[at]).toBeCloseTo(slope, 5));
    });
  });

  it("weighs any loss that is linear in its targets: focal loss as the weighted mean of single images", () => {
    tf.tidy(() => {
      const { weights, logits } = golden.weighted[0]!;
      const focal = makePart(losses.focal({ gamma: 2 }));
      const oneHot = tf.oneHot(tf.tensor1d(golden.labels, "int32"), 3).toFloat() as tf.Tensor2D;
      const each = golden.labels.map((_, row) => {
        const part = (all: tf.Tensor) => tf.slice(all, [row, 0], [1, 3]);
        return focal.compute(part(tf.tensor2d(logits)), part(oneHot)).dataSync()[0]!;
      });
      const own = golden.labels.map((label) => weights[label]!);
      const expected = each.reduce((sum, loss, row) => sum + loss * own[row]!, 0) / own.reduce((sum, w) => sum + w, 0);
      const targets = weighTargets(oneHot, Int32Array.from(golden.labels), weights);
      expect(focal.compute(tf.tensor2d(logits), targets).dataSync()[0]).toBeCloseTo(expected, 5);
    });
  });

  it("has weights inverse to the images, with a mean of one over them, and 1 for a class without any", () => {
    const labels = [0, 0, 0, 0, 0, 0, 1, 1, 3];
    expect(inverseWeights(labels, 4, 1)).toEqual([0.5, 1.5, 1, 3]);
    const [often, , , seldom] = inverseWeights(labels, 4, 0.5);
    expect(seldom! / often!).toBeCloseTo(Math.sqrt(6), 10);
  });

  it("refuses another number of weights than there are classes, when the run starts", async () => {
    const config = microConfig({ data: shapes({ classes: 4, size: 8, train: 16, test: 4 }) });
    await expect(fitWeights({ ...config, plugins: [classWeights({ weights: [1, 2, 3] })] })).rejects.toThrow(
      "expected 4 weights, one for each class, got 3",
    );
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, type Plugin } from "../../core/index.js";
import { combineViews, plainView, viewOutputs } from "../../core/loop/evaluate.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { earlyStopping, ema, sixViews, testTimeAugmentation } from "../../plugins/index.js";
import { mirrored, moreViews, moved } from "../../plugins/test-time-augmentation/index.js";
import { goldenJson, relativeDifference } from "../golden/torch/read.js";

beforeAll(async () => void (await loadBackend()));

/** One image of one row or column of pixels. */
const row = (...values: number[]): tf.Tensor4D => tf.tile(tf.tensor4d(values, [1, 1, values.length, 1]), [1, 3, 1, 3]);
const firstRow = (images: tf.Tensor4D): number[] => images.arraySync()[0]![0]!.map((pixel) => pixel[0]!);

describe("test-time-augmentation", () => {
  it("mirrors left and right", () => {
    tf.tidy(() => {
      expect(firstRow(mirrored(row(1, 2, 3)))).toEqual([3, 2, 1]);
    });
  });

  it("moves by whole pixels, and mirrors at the border what comes in", () => {
    tf.tidy(() => {
      expect(firstRow(moved(row(1, 2, 3, 4), 1, 0))).toEqual([2, 1, 2, 3]);
      expect(firstRow(moved(row(1, 2, 3, 4), -1, 0))).toEqual([2, 3, 4, 3]);
      const column = tf.transpose(row(1, 2, 3, 4), [0, 2, 1, 3]);
      const down = tf.transpose(moved(column, 0, 1), [0, 2, 1, 3]) as tf.Tensor4D;
      expect(firstRow(down)).toEqual([2, 1, 2, 3]);
    });
  });

  it("refuses a shift that leaves nothing of an image to mirror, by its name", () => {
    tf.tidy(() => {
      expect(() => moved(row(1, 2, 3, 4), 4, 0)).toThrow(
        'Plugin "test-time-augmentation": expected "shift" below the image size of 3 × 4, got 4.',
      );
      expect(firstRow(moved(row(1, 2, 3, 4), 3, 0))).toEqual([4, 3, 2, 1]);
    });
  });

  it("looks once more for the mirror, and twice each for a shift", () => {
    const names = (flip: boolean, shift: number): string[] =>
      moreViews({ flip, shift, shiftWeight: 1 }).map(({ name }) => name);
    expect(names(false, 0)).toEqual([]);
    expect(names(true, 0)).toEqual(["mirrored"]);
    expect(names(false, 1)).toEqual(["up-left", "down-right"]);
    expect(names(true, 2)).toEqual(["up-left", "down-right", "mirrored", "up-left, mirrored", "down-right, mirrored"]);
  });

  it.each(["logits", "probabilities"] as const)("averages %s of six weighted views as PyTorch's numbers", (average) => {
    const golden = goldenJson<Record<typeof average, number[][]> & { images: number[][][][]; weight: number[][] }>(
      "views.json",
    );
    const layer = {
      kind: "flat",
      forward: (x: tf.Tensor) => tf.div(tf.matMul(tf.reshape(x, [x.shape[0]!, -1]), tf.tensor2d(golden.weight)), 4),
    };
    const views = [plainView, ...moreViews(sixViews)];
    let found: Float32Array[] = [];
    tf.tidy(() => {
      const model = { layer, stages: [], features: "" };
      found = viewOutputs({ model, weights: new Map(), views, average }, tf.tensor4d(golden.images));
    });
    expect(relativeDifference(combineViews(found, { views, average }, 4), golden[average].flat())).toBeLessThan(1e-6);
  });

  it("averages logits where it says so: the plain image's figures stay, loss and predictions move", async () => {
    const plain = await fitWeights(microConfig());
    const { summary, hash } = await fitWeights(microConfig({ plugins: [testTimeAugmentation(sixViews)] }));
    expect(hash).toBe(plain.hash);
    expect(summary.test!.singleView!.top1).toBe(plain.summary.test!.top1);
    expect(summary.test!.singleView!.loss).toBeCloseTo(plain.summary.test!.loss, 6);
    const equal = await fitWeights(microConfig({ plugins: [testTimeAugmentation({ shift: 1 })] }));
    expect(summary.test!.loss).not.toBeCloseTo(equal.summary.test!.loss, 6);
  });

  it("averages probabilities, and reports the plain image's own figures beside", async () => {
    const plain = await fitWeights(microConfig());
    const with6 = await fitWeights(microConfig({ plugins: [testTimeAugmentation({ shift: 1 })] }));
    expect(with6.hash).toBe(plain.hash);
    const { singleView, loss } = with6.summary.test!;
    const { loss: plainLoss, top1, top5 } = plain.summary.test!;
    expect(singleView).toEqual({ loss: plainLoss, top1, top5 });
    expect(loss).not.toBe(plainLoss);
    const none = await fitWeights(microConfig({ plugins: [testTimeAugmentation({ flip: false })] }));
    expect(none.summary.test!.singleView).toBeUndefined();
  });

  it("gives an image and its mirror one answer", async () => {
    const outputs: Float32Array[] = [];
    const keep: Plugin = {
      name: "keep",
      options: {},
      apply: ({ hooks }) =>
        hooks.afterEvaluate.tap((metrics) => {
          outputs.push(metrics.outputs!.probabilities);
          return metrics;
        }),
    };
    const mirror: Plugin = {
      name: "mirror",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => ({
          ...evaluation,
          views: evaluation.views.map(({ name, apply }) => ({
            name,
            apply: (images) => apply(mirrored(images)),
          })),
        })),
    };
    await fitWeights(microConfig({ epochs: 1, plugins: [testTimeAugmentation(), keep] }));
    await fitWeights(microConfig({ epochs: 1, plugins: [testTimeAugmentation(), keep, mirror] }));
    const [straight, turned] = [outputs[1]!, outputs[3]!];
    straight.forEach((value, at) => expect(turned[at]).toBeCloseTo(value, 5));
  });

  it("goes with averaged and best weights", async () => {
    const plugins = [testTimeAugmentation(), ema({ decay: 0.5 }), earlyStopping({ patience: 100 })];
    const { summary } = await fitWeights(microConfig({ plugins }));
    expect(summary.test!.source).toMatch(/best of epoch \d, averaged/);
    expect(summary.test!.singleView).toBeDefined();
  });
});

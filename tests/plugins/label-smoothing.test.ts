import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, loadBackend, ops, type Plugin } from "../../core/index.js";
import { mountPlugin, stepAt } from "../../core/testing/index.js";
import { labelSmoothing, smooth } from "../../plugins/label-smoothing/index.js";

beforeAll(async () => void (await loadBackend()));

interface Case {
  name: string;
  smoothing: number;
  share: number;
  logits: number[][];
  targets: number[][];
  loss: number;
}
const golden = JSON.parse(readFileSync(new URL("../golden/torch/losses.json", import.meta.url), "utf8")) as {
  classes: number;
  labels: number[];
  others: number[];
  cases: Case[];
};

const batchOf = (targets: tf.Tensor2D): Batch => ({
  images: tf.zeros([targets.shape[0], 2, 2, 3]),
  targets,
  labels: new Int32Array(targets.shape[0]),
  indices: new Int32Array(targets.shape[0]),
});
const mixing: Plugin = {
  name: "mix",
  options: {},
  apply({ hooks }) {
    hooks.beforeBatch.tap((batch) => ({
      ...batch,
      targets: tf.add(tf.mul(batch.targets, 0.7), tf.mul(tf.reverse(batch.targets, 0), 0.3)),
    }));
  },
};

describe("label-smoothing", () => {
  it.each(golden.cases)("gives PyTorch's targets and loss: $name", ({ smoothing, share, logits, targets, loss }) => {
    tf.tidy(() => {
      const mixed = golden.labels.map((label, row) =>
        Array.from(
          { length: golden.classes },
          (_, at) => share * Number(at === label) + (1 - share) * Number(at === golden.others[row]),
        ),
      );
      const smoothed = smooth(tf.tensor2d(mixed), smoothing);
      const off = tf.max(tf.abs(tf.sub(smoothed, tf.tensor2d(targets)))).dataSync()[0]!;
      expect(off).toBeLessThan(1e-7);
      const ours = ops.softCrossEntropy(tf.tensor2d(logits), smoothed).dataSync()[0]!;
      expect(Math.abs(ours - loss)).toBeLessThan(1e-6 * Math.max(1, loss));
    });
  });

  it("makes ln K of zero logits for any smoothing, and has its floor at the targets' entropy", () => {
    tf.tidy(() => {
      const oneHot = tf.oneHot(tf.tensor1d([3], "int32"), 100).toFloat() as tf.Tensor2D;
      for (const smoothing of [0, 0.1, 0.5]) {
        const targets = smooth(oneHot, smoothing);
        expect(ops.softCrossEntropy(tf.zeros([1, 100]), targets).dataSync()[0]).toBeCloseTo(Math.log(100), 5);
      }
      const targets = smooth(oneHot, 0.1);
      expect(ops.softCrossEntropy(tf.log(targets), targets).dataSync()[0]).toBeCloseTo(0.7778, 4);
    });
  });

  it("commutes with mixing, in either order of the list, and keeps true labels", () => {
    tf.tidy(() => {
      const targets = tf.tensor2d([
        [1, 0, 0],
        [0, 0, 1],
      ]);
      const mounted = [
        mountPlugin(mixing, { config: { plugins: [labelSmoothing()] } }),
        mountPlugin(labelSmoothing(), { config: { plugins: [mixing] } }),
      ];
      const expected = smooth(
        tf.tensor2d([
          [0.7, 0, 0.3],
          [0.3, 0, 0.7],
        ]),
        0.1,
      ).dataSync();
      for (const { call } of mounted) {
        const batch = batchOf(targets);
        const next = call.beforeBatch(batch, stepAt());
        next.targets.dataSync().forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 6));
        expect(next.labels).toBe(batch.labels);
      }
      const alone = mountPlugin(mixing)
        .call.beforeBatch(batchOf(smooth(targets, 0.1)), stepAt())
        .targets.dataSync();
      alone.forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 6)); // smoothed first, mixed after
    });
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, loadBackend, type Plugin } from "../../core/index.js";
import { fitWeights, microConfig, mountPlugin, stepAt } from "../../core/testing/index.js";
import { cutmix, progressiveResizing } from "../../plugins/index.js";
import { sizeAt } from "../../plugins/progressive-resizing/index.js";

beforeAll(async () => void (await loadBackend()));

describe("progressive-resizing", () => {
  it("grows from half to full size, in multiples of 4, and ends with full size", () => {
    const sizes = Array.from({ length: 10 }, (_, epoch) => sizeAt(32, epoch, 10, { from: 0.5, fullFor: 0.2 }));
    expect(sizes).toEqual([16, 16, 20, 20, 24, 24, 28, 28, 32, 32]);
  });

  it("holds its promises for every size and length of a run", () => {
    for (const full of [8, 30, 32, 33, 224]) {
      for (const epochs of [1, 2, 7, 200]) {
        for (const settings of [
          { from: 0.5, fullFor: 0.2 },
          { from: 0.01, fullFor: 0.01 },
          { from: 1, fullFor: 1 },
        ]) {
          const sizes = Array.from({ length: epochs }, (_, epoch) => sizeAt(full, epoch, epochs, settings));
          const atFull = sizes.filter((size) => size === full).length;
          expect(sizes.at(-1)).toBe(full);
          expect(atFull).toBeGreaterThanOrEqual(Math.ceil(epochs * settings.fullFor));
          expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
          expect(sizes.every((size) => size === full || (size % 4 === 0 && size >= 4 && size <= full))).toBe(true);
        }
      }
    }
  });

  it("halves an image to the means of two by two pixels, and leaves targets alone", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(progressiveResizing(), { config: { epochs: 10 } });
      const images = tf.randomNormal([3, 8, 8, 3], 0, 1, "float32", 5) as tf.Tensor4D;
      const labels = new Int32Array(3);
      const batch: Batch = { images, targets: tf.ones([3, 4]), labels, indices: labels };
      const early = call.beforeBatch(batch, stepAt({ epoch: 0 }));
      const means = tf.avgPool(images, 2, 2, "valid");
      expect(tf.max(tf.abs(tf.sub(early.images, means))).dataSync()[0]!).toBeLessThan(1e-6);
      expect(early.targets).toBe(batch.targets);
      expect(call.beforeBatch(batch, stepAt({ epoch: 9 })).images).toBe(images);
    });
  });

  it("comes after mixing, which sees full images, and never touches evaluation", async () => {
    const { taps } = mountPlugin(cutmix(), { config: { plugins: [progressiveResizing()] } });
    expect(taps.map(({ plugin }) => plugin)).toEqual(["cutmix", "progressive-resizing"]);
    const seen = { training: new Set<number>(), evaluation: new Set<number>() };
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply({ hooks }) {
        hooks.beforeBatch.tap({ stage: "last" }, (batch) => {
          seen.training.add(batch.images.shape[1]);
          return batch;
        });
        hooks.beforeEvaluate.tap((evaluation) => ({
          ...evaluation,
          views: evaluation.views.map(({ name, apply }) => ({
            name,
            apply(images) {
              seen.evaluation.add(images.shape[1]);
              return apply(images);
            },
          })),
        }));
      },
    };
    await fitWeights(microConfig({ plugins: [progressiveResizing(), watch] }));
    expect([...seen.training]).toEqual([4, 8]);
    expect([...seen.evaluation]).toEqual([8]);
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, loadBackend } from "../../core/index.js";
import { mixRows } from "../../core/nn/blend.js";
import { mountPlugin, stepAt } from "../../core/testing/index.js";
import { mixup } from "../../plugins/mixup/index.js";

beforeAll(async () => void (await loadBackend()));

/** Row r is an image of the number r + 1, of class r. */
function flat(size: number): Batch {
  const rows = Int32Array.from({ length: size }, (_, row) => row);
  return {
    images: tf.tile(tf.reshape(tf.range(1, size + 1), [size, 1, 1, 1]), [1, 2, 2, 3]) as tf.Tensor4D,
    targets: tf.oneHot(tf.tensor1d(rows, "int32"), Math.max(2, size)).toFloat() as tf.Tensor2D,
    labels: rows,
    indices: rows,
  };
}

describe("mixup", () => {
  it("is equation 1, for images and targets alike", () => {
    tf.tidy(() => {
      const next = mixRows(flat(3), 0.75, Int32Array.of(2, 0, 1));
      const image = (row: number): number => next.images.arraySync()[row]![0]![0]![0]!;
      expect([image(0), image(1), image(2)]).toEqual([1.5, 1.75, 2.75]);
      expect(next.targets.arraySync()).toEqual([
        [0.75, 0, 0.25],
        [0.25, 0.75, 0],
        [0, 0.25, 0.75],
      ]);
    });
  });

  it.each([128, 7, 2])("gives targets that say what is in the image: %i images", (size) => {
    const { call } = mountPlugin(mixup());
    for (let microBatch = 0; microBatch < 20; microBatch++) {
      tf.tidy(() => {
        const batch = flat(size);
        const { images, targets, labels } = call.beforeBatch(batch, stepAt({ microBatch }));
        const said = tf.matMul(targets, tf.reshape(tf.range(1, size + 1), [size, 1])).dataSync();
        const shown = tf.mean(images, [1, 2, 3]).dataSync();
        said.forEach((value, row) => expect(value / size).toBeCloseTo(shown[row]! / size, 5));
        tf.sum(targets, 1)
          .dataSync()
          .forEach((mass) => expect(mass).toBeCloseTo(1, 5));
        expect(labels).toBe(batch.labels);
      });
    }
  });

  it("passes a batch of one on, and draws its share from Beta(alpha, alpha)", () => {
    tf.tidy(() => {
      const single = flat(1);
      expect(mountPlugin(mixup()).call.beforeBatch(single, stepAt())).toBe(single);
      // E |share - 1/2| is 1/4 for alpha 1, and 0.386 for alpha 0.2; a row that meets itself tells nothing.
      const spread = (alpha: number): number => {
        const { call } = mountPlugin(mixup({ alpha }));
        const batch = flat(64);
        const shares = Array.from({ length: 120 }, (_, microBatch) => {
          const targets = call.beforeBatch(batch, stepAt({ microBatch })).targets;
          return tf.tidy(() => tf.min(tf.sum(tf.mul(targets, batch.targets), 1)).dataSync()[0]!);
        });
        return shares.reduce((sum, share) => sum + Math.abs(share - 0.5), 0) / shares.length;
      };
      expect(spread(1)).toBeGreaterThan(0.22);
      expect(spread(1)).toBeLessThan(0.28);
      expect(spread(0.2)).toBeGreaterThan(0.35);
    });
  });
});

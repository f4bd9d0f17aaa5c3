import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, loadBackend, stream } from "../../core/index.js";
import { cutBox, keptShare, pasteBox } from "../../core/nn/blend.js";
import { mountPlugin, stepAt } from "../../core/testing/index.js";
import { cutmix } from "../../plugins/cutmix/index.js";

beforeAll(async () => void (await loadBackend()));

const golden = JSON.parse(readFileSync(new URL("../golden/torch/cutmix.json", import.meta.url), "utf8")) as {
  boxes: number[][];
  batch: {
    centre: [number, number];
    share: number;
    kept: number;
    partners: number[];
    images: number[][][][];
    mixed: number[][][][];
    labels: number[];
    targets: number[][];
  };
};

/** Every number of every image is another one, so that a pixel tells where it comes from. Class = row. */
function ramp(size: number, height: number, width: number): Batch {
  const values = Float32Array.from({ length: size * height * width * 3 }, (_, at) => at + 1);
  return {
    images: tf.tensor4d(values, [size, height, width, 3]),
    targets: tf.oneHot(tf.range(0, size, 1, "int32"), Math.max(2, size)).toFloat() as tf.Tensor2D,
    labels: Int32Array.from({ length: size }, (_, row) => row),
    indices: Int32Array.from({ length: size }, (_, row) => row),
  };
}

/** Share of the pixels of each row that another row gave, by looking at them. */
function changedShares(before: Batch, after: Batch): number[] {
  const [size, height, width] = before.images.shape;
  const [old, now] = [before.images.dataSync(), after.images.dataSync()];
  const pixels = height * width;
  return Array.from({ length: size }, (_, row) => {
    let changed = 0;
    for (let at = row * pixels; at < (row + 1) * pixels; at++) changed += Number(old[3 * at] !== now[3 * at]);
    return changed / pixels;
  });
}

describe("cutmix", () => {
  it("cuts torchvision's boxes, clipped, and keeps its shares", () => {
    const ours = golden.boxes.map(([height, width, share, x, y]) => {
      const box = cutBox(height!, width!, share!, x!, y!);
      return [height, width, share, x, y, box.left, box.top, box.right, box.bottom, keptShare(height!, width!, box)];
    });
    expect(ours.length).toBeGreaterThan(100);
    expect(ours).toEqual(golden.boxes);
  });

  it("mixes a batch as torchvision does, pixel for pixel", () => {
    tf.tidy(() => {
      const { centre, share, partners, images, mixed, labels, targets, kept } = golden.batch;
      // torchvision's images have one channel here; ours always three.
      const three = (one: number[][][][]): tf.Tensor4D => tf.tile(tf.tensor4d(one), [1, 1, 1, 3]);
      const batch: Batch = {
        images: three(images),
        targets: tf.oneHot(tf.tensor1d(labels, "int32"), 4).toFloat() as tf.Tensor2D,
        labels: Int32Array.from(labels),
        indices: Int32Array.from(labels),
      };
      const [, height, width] = batch.images.shape;
      const box = cutBox(height, width, share, ...centre);
      expect(keptShare(height, width, box)).toBeCloseTo(kept, 12);
      const next = pasteBox(batch, box, Int32Array.from(partners));
      expect([...next.images.dataSync()]).toEqual([...three(mixed).dataSync()]);
      next.targets.dataSync().forEach((value, at) => expect(value).toBeCloseTo(targets.flat()[at]!, 7));
    });
  });

  it.each([128, 7, 2])("moves as much of the targets as of the pixels, batch after batch: %i images", (size) => {
    const { call } = mountPlugin(cutmix());
    let seen = 0;
    for (let microBatch = 0; microBatch < 40; microBatch++) {
      tf.tidy(() => {
        const batch = ramp(size, 6, 9);
        const next = call.beforeBatch(batch, stepAt({ microBatch }));
        const targets = next.targets.arraySync();
        changedShares(batch, next).forEach((changed, row) => {
          expect(1 - targets[row]![row]!).toBeCloseTo(changed, 5); // a row that met itself changed nothing
          expect(targets[row]!.reduce((sum, share) => sum + share)).toBeCloseTo(1, 5);
          seen += Number(changed > 0);
        });
        expect(next.labels).toBe(batch.labels);
      });
    }
    expect(seen).toBeGreaterThan(20);
  });

  it("reads every pasted pixel from the batch as it came", () => {
    tf.tidy(() => {
      const batch = ramp(5, 4, 4);
      const partners = Int32Array.of(1, 2, 3, 4, 0);
      const box = { left: 1, top: 0, right: 3, bottom: 2 };
      const now = pasteBox(batch, box, partners).images.arraySync();
      const old = batch.images.arraySync();
      for (let row = 0; row < 5; row++) {
        for (let y = 0; y < 4; y++) {
          for (let x = 0; x < 4; x++) {
            const inside = x >= box.left && x < box.right && y >= box.top && y < box.bottom;
            expect(now[row]![y]![x]).toEqual(old[inside ? partners[row]! : row]![y]![x]);
          }
        }
      }
    });
  });

  it("keeps .70 of an image of 32 pixels and .68 of one of 224 on average, since boxes are clipped", () => {
    for (const [side, expected] of [
      [32, 0.701],
      [224, 0.682],
    ] as const) {
      const rng = stream(3, "cutmix test", side);
      let sum = 0;
      const draws = 40_000;
      for (let draw = 0; draw < draws; draw++) {
        sum += keptShare(side, side, cutBox(side, side, rng.beta(1, 1), rng.int(side), rng.int(side)));
      }
      expect(Math.abs(sum / draws - expected)).toBeLessThan(0.004); // five standard errors
    }
  });

  it("passes a batch of one on as it came, and a share of the others", () => {
    const { call } = mountPlugin(cutmix({ probability: 0.5 }));
    tf.tidy(() => {
      const single = ramp(1, 4, 4);
      const batch = ramp(4, 4, 4);
      let untouched = 0;
      for (let microBatch = 0; microBatch < 400; microBatch++) {
        expect(call.beforeBatch(single, stepAt({ microBatch }))).toBe(single);
        untouched += Number(call.beforeBatch(batch, stepAt({ microBatch })) === batch);
      }
      expect(untouched).toBeGreaterThan(160);
      expect(untouched).toBeLessThan(240);
    });
  });

  it("draws by seed and micro-batch alone", () => {
    tf.tidy(() => {
      const batch = ramp(6, 8, 8);
      const pixels = (seed: number, microBatch: number): string => {
        const { call } = mountPlugin(cutmix(), { config: { seed } });
        return call.beforeBatch(batch, stepAt({ microBatch })).images.dataSync().join();
      };
      expect(pixels(1, 4)).toBe(pixels(1, 4));
      expect(pixels(1, 5)).not.toBe(pixels(1, 4));
      expect(pixels(2, 4)).not.toBe(pixels(1, 4));
    });
  });
});

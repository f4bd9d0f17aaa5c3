import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, loadBackend } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { mountPlugin, stepAt } from "../../core/testing/index.js";
import { mixing, mixReversed } from "../../plugins/mixing/index.js";

beforeAll(async () => void (await loadBackend()));

interface Golden {
  labels: number[];
  mixed: { share: number; centre: [y: number, x: number] | null; images: number[]; targets: number[][] }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/torch/mixing.json", import.meta.url), "utf8")) as Golden;
const [size, height, width, classes] = [4, 6, 8, 3] as const;

/** Value at (row, y, x, channel): 100 row + 10 y + x + channel / 4. */
const batch = (): Batch => ({
  images: tf.tensor4d(
    Array.from({ length: size * height * width * 3 }, (_, at) => {
      const [channel, x] = [at % 3, Math.floor(at / 3) % width];
      const [y, row] = [Math.floor(at / 3 / width) % height, Math.floor(at / 3 / width / height)];
      return 100 * row + 10 * y + x + channel / 4;
    }),
    [size, height, width, 3],
  ),
  targets: tf.oneHot(tf.tensor1d(golden.labels, "int32"), classes).toFloat() as tf.Tensor2D,
  labels: Int32Array.from(golden.labels),
  indices: Int32Array.from([0, 1, 2, 3]),
});

describe("mixing", () => {
  it.each(golden.mixed)("is timm's Mixup for share $share and centre $centre", ({ share, centre, images, targets }) => {
    tf.tidy(() => {
      const found = mixReversed(batch(), { share, centre: centre ? { y: centre[0], x: centre[1] } : undefined });
      const [pixels, rows] = [found.images.dataSync(), found.targets.dataSync()];
      images.forEach((value, at) => expect(pixels[at]).toBeCloseTo(value, 3));
      targets.flat().forEach((value, at) => expect(rows[at]).toBeCloseTo(value, 5));
    });
  });

  it("draws which of the two, as often as it is asked, and mixes nothing in the last epochs", () => {
    const { call } = mountPlugin(mixing({ switchProbability: 0.25, plainEpochs: 2 }), { config: { epochs: 5 } });
    tf.tidy(() => {
      const given = batch();
      const counts = { mixup: 0, cutmix: 0 };
      for (let microBatch = 0; microBatch < 400; microBatch++) {
        const first = call.beforeBatch(given, stepAt({ microBatch, epoch: 2 })).images.dataSync()[0]!;
        // A pixel is of one image after a paste, and between the two after a mixture.
        counts[first === 0 || first === 300 ? "cutmix" : "mixup"]++;
      }
      expect(Math.abs(counts.cutmix - 100)).toBeLessThan(35);
      expect(call.beforeBatch(given, stepAt({ microBatch: 1, epoch: 3 }))).toBe(given);
      expect(call.beforeBatch(given, stepAt({ microBatch: 1, epoch: 2 }))).not.toBe(given);
    });
  });

  it("says where no epoch is left to mix", () => {
    const remarks = makePart(mixing({ plainEpochs: 9 })).check!({ epochs: 9 } as never);
    expect(remarks).toEqual([{ level: "hint", text: "mixing has no effect: plainEpochs 9 of 9 epochs." }]);
  });
});

/** Progressive resizing: trains on small images first, which is faster, and on full-size images at the end. */
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, ops } from "../../core/index.js";

const options = z.strictObject({
  from: z.number().positive().max(1).default(0.5).describe("first size as a share of the full size"),
  fullFor: z.number().gt(0).max(1).default(0.2).describe("share of the epochs at full size, at the end of the run"),
});

/**
 * Side in pixels that epoch `epoch` (from 0) of `epochs` trains at: from `from` · full in the first epoch,
 * growing by the same number of pixels an epoch up to rounding, to the full side. Rounded down to multiples
 * of 4, which networks that halve the side twice divide without a rest; never under 4.
 */
export function sizeAt(
  full: number,
  epoch: number,
  epochs: number,
  settings: { from: number; fullFor: number },
): number {
  const growing = epochs - Math.ceil(epochs * settings.fullFor);
  if (epoch >= growing) return full;
  const share = settings.from + (1 - settings.from) * (epoch / growing);
  return Math.min(full, Math.max(4, 4 * Math.floor((full * share) / 4)));
}

export const progressiveResizing = definePlugin({
  name: "progressive-resizing",
  summary: "Trains on small images first and on full-size images at the end",
  options,
  apply(settings, { hooks, config }) {
    // Late: mixing sees the full pixels, so that its box and its share of the targets agree.
    hooks.beforeBatch.tap({ stage: "late" }, (batch, { epoch, share }) => {
      const [, height, width] = batch.images.shape;
      // With maxTime, thousandths of the time take the place of epochs.
      const [done, of] = config.epochs === undefined ? [1000 * share, 1000] : [epoch, config.epochs];
      const sides = [height, width].map((side) => sizeAt(side, done, of, settings));
      return { ...batch, images: ops.resize(batch.images, sides[0]!, sides[1]!) as tf.Tensor4D };
    });
  },
});

/** CutMix (Yun et al. 2019): pastes a box of another image, and mixes the targets by area. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Batch, definePlugin, type Stream } from "../../core/index.js";

const options = z.strictObject({
  alpha: z.number().positive().default(1).describe("the image's own share is drawn from Beta(alpha, alpha)"),
  probability: z.number().min(0).max(1).default(1).describe("share of micro-batches to mix"),
});

/** In pixels; the last two are exclusive. */
export interface CutBox {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * The box to paste for a drawn share and centre: sides of int(S · sqrt(1 - share)), half of it to each side
 * of the centre, clipped to the image (Yun et al. 2019, algorithm 1; bytes of torchvision's v2.CutMix).
 */
export function cutBox(height: number, width: number, share: number, x: number, y: number): CutBox {
  const cut = Math.sqrt(1 - share);
  const halfWidth = Math.floor((width * cut) / 2);
  const halfHeight = Math.floor((height * cut) / 2);
  return {
    left: Math.max(x - halfWidth, 0),
    top: Math.max(y - halfHeight, 0),
    right: Math.min(x + halfWidth, width),
    bottom: Math.min(y + halfHeight, height),
  };
}

/** An image's own share after the paste, by the clipped box: the drawn share would count pixels outside the image. */
export function keptShare(height: number, width: number, { left, top, right, bottom }: CutBox): number {
  return 1 - ((right - left) * (bottom - top)) / (height * width);
}

/**
 * Pastes the box of row `partners[i]` into row i, and mixes the targets by area. Returns new tensors: nothing is pasted in
 * place, so no row receives pixels that were pasted before.
 */
export function pasteBox(batch: Batch, box: CutBox, partners: Int32Array): Batch {
  const { images, targets } = batch;
  const [, height, width] = images.shape;
  const inside = new Float32Array(height * width);
  for (let y = box.top; y < box.bottom; y++) inside.fill(1, y * width + box.left, y * width + box.right);
  const kept = keptShare(height, width, box);
  return tf.tidy(() => {
    const order = tf.tensor1d(partners, "int32");
    const paste = tf.tensor4d(inside, [1, height, width, 1]);
    const pasted = tf.mul(tf.gather(images, order), paste);
    return {
      ...batch,
      images: tf.add(tf.mul(images, tf.sub(1, paste)), pasted) as tf.Tensor4D,
      targets: tf.add(tf.mul(targets, kept), tf.mul(tf.gather(targets, order), 1 - kept)) as tf.Tensor2D,
    };
  });
}

export const cutmix = definePlugin({
  name: "cutmix",
  summary: "CutMix: pastes a box of another image and mixes the targets by area",
  options,
  slot: "mixing",
  apply({ alpha, probability }, { hooks, stream }) {
    hooks.beforeBatch.tap((batch, { microBatch }) => {
      const rng: Stream = stream(microBatch);
      const [size, height, width] = batch.images.shape;
      if (!rng.chance(probability) || size === 1) return batch;
      const box = cutBox(height, width, rng.beta(alpha, alpha), rng.int(width), rng.int(height));
      return pasteBox(batch, box, rng.permutation(size));
    });
  },
});

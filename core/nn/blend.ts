/** Images of a batch blended with others of it, and their targets in the same proportion. */
import * as tf from "@tensorflow/tfjs-core";

interface Rows {
  /** [batch, height, width, 3] */
  readonly images: tf.Tensor4D;
  /** [batch, classes], each row a distribution. */
  readonly targets: tf.Tensor2D;
}

/** Zhang et al. 2018, equation 1: kept · row i + (1 - kept) · row `partners[i]`, for images and targets. */
export function mixRows<B extends Rows>(batch: B, kept: number, partners: Int32Array): B {
  const mixed = tf.tidy(() => {
    const order = tf.tensor1d(partners, "int32");
    const mix = <T extends tf.Tensor>(rows: T): T =>
      tf.add(tf.mul(rows, kept), tf.mul(tf.gather(rows, order), 1 - kept)) as T;
    return { images: mix(batch.images), targets: mix(batch.targets) };
  });
  return { ...batch, ...mixed };
}

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
export function pasteBox<B extends Rows>(batch: B, box: CutBox, partners: Int32Array): B {
  const { images, targets } = batch;
  const [, height, width] = images.shape;
  const inside = new Float32Array(height * width);
  for (let y = box.top; y < box.bottom; y++) inside.fill(1, y * width + box.left, y * width + box.right);
  const kept = keptShare(height, width, box);
  const mixed = tf.tidy(() => {
    const order = tf.tensor1d(partners, "int32");
    const paste = tf.tensor4d(inside, [1, height, width, 1]);
    const pasted = tf.mul(tf.gather(images, order), paste);
    return {
      images: tf.add(tf.mul(images, tf.sub(1, paste)), pasted) as tf.Tensor4D,
      targets: tf.add(tf.mul(targets, kept), tf.mul(tf.gather(targets, order), 1 - kept)) as tf.Tensor2D,
    };
  });
  return { ...batch, ...mixed };
}

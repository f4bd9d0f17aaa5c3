/** The gradient of max pooling, in a plain loop. */
import type * as tf from "@tensorflow/tfjs-core";

/**
 * Gives each output's gradient to the first of its window's largest numbers, as TensorFlow and PyTorch do.
 *
 * @param x input, [batch, height, width, channels] flat
 * @param dy gradient of the output
 * @returns gradient of the input
 */
export function maxPoolGradient(x: Float32Array, dy: Float32Array, geometry: tf.backend_util.Conv2DInfo): Float32Array {
  const { batchSize, inHeight, inWidth, inChannels: channels, outHeight, outWidth } = geometry;
  const { strideHeight, strideWidth, filterHeight, filterWidth, padInfo } = geometry;
  const dx = new Float32Array(x.length);
  let out = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let row = 0; row < outHeight; row++) {
      const top = Math.max(row * strideHeight - padInfo.top, 0);
      const bottom = Math.min(row * strideHeight - padInfo.top + filterHeight, inHeight);
      for (let column = 0; column < outWidth; column++) {
        const left = Math.max(column * strideWidth - padInfo.left, 0);
        const right = Math.min(column * strideWidth - padInfo.left + filterWidth, inWidth);
        for (let channel = 0; channel < channels; channel++) {
          let largest = ((image * inHeight + top) * inWidth + left) * channels + channel;
          for (let line = top; line < bottom; line++) {
            const first = ((image * inHeight + line) * inWidth + left) * channels + channel;
            const end = first + (right - left) * channels;
            for (let place = first; place < end; place += channels) {
              if (x[place]! > x[largest]!) largest = place;
            }
          }
          dx[largest]! += dy[out++]!;
        }
      }
    }
  }
  return dx;
}

/** How to compute a convolution's filter gradient: a fixed rule, so that every process has the same bits. */
import type { Precision } from "./precision.js";

export interface FilterShape {
  kernel: number;
  stride: number;
  /** Channels in. */
  channels: number;
  /** Positions of the output in one image. */
  positions: number;
  precision: Precision;
}

/**
 * Whether to compute it as a product of patches and the output's gradient; oneDNN computes the others. `npm run bench -- filters`
 * times both ways. Products are
 * - strided 1 x 1 filters whose input channels are no multiple of 16: oneDNN computed a wrong gradient now and then for no
 *   multiple of 8 (TensorFlow 2.21, even sizes, a processor with AVX2), and vectors of AVX-512 are twice as long;
 * - filters of small maps in bfloat16, two to three times as fast.
 */
export function isProduct({ kernel, stride, channels, positions, precision }: FilterShape): boolean {
  const uncertain = kernel === 1 && stride > 1 && channels % 16 !== 0;
  const small = precision === "bfloat16" && kernel > 1 && positions <= 64;
  return uncertain || small;
}

/** How a convolution's filter gradient is computed: a rule, so that every process has the same bits. */
import type { Precision } from "./ops.js";

export interface FilterShape {
  kernel: number;
  stride: number;
  /** Channels in. */
  channels: number;
  /** Places of the output in one picture. */
  positions: number;
  precision: Precision;
}

/**
 * Whether it is a product of patches and the output's gradient; the rest are oneDNN's. `npm run bench -- filters` times both.
 * - strided 1 x 1 ones whose input channels are no multiple of 16 are: oneDNN computed a wrong one now and then for no
 *   multiple of 8 (TensorFlow 2.21, even sizes, a processor with AVX2), and vectors of AVX-512 are twice as long;
 * - in bfloat16, those of small maps are, two to three times as fast.
 */
export function isProduct({ kernel, stride, channels, positions, precision }: FilterShape): boolean {
  const uncertain = kernel === 1 && stride > 1 && channels % 16 !== 0;
  const small = precision === "bfloat16" && kernel > 1 && positions <= 64;
  return uncertain || small;
}

/** Options of every preset: those that depend on your machine and data. */
export interface PresetOptions {
  /** An archive or a folder. Default: download, where the data set allows it. */
  data?: string;
  /** Images per micro-batch. A preset that accumulates keeps the number of images per step. */
  batchSize?: number;
  /** Pretrained weights for `transfer`: a safetensors file with PyTorch's names, or "hf:owner/name". Default: download. */
  weights?: string;
}

/** The number of micro-batches closest to `images` images in all, at least one. */
export function microBatchesOf(images: number, batchSize: number): number {
  return Math.max(1, Math.round(images / batchSize));
}

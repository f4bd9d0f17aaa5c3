/** What every preset takes: the part of a recipe that belongs to whoever runs it. */
export interface PresetOptions {
  /** Where the data lies: an archive or a folder. Left out: downloaded where the data set allows it. */
  data?: string;
  /** Pictures in a micro-batch. A preset that accumulates keeps the pictures of a step the same. */
  batchSize?: number;
  /** Begin with the weights of this file: safetensors with PyTorch's names. Only `transfer` needs one. */
  weights?: string;
}

/** Micro-batches whose pictures together come nearest to `pictures`, at least one. */
export function microBatchesOf(pictures: number, batchSize: number): number {
  return Math.max(1, Math.round(pictures / batchSize));
}

/** Image files as a split, without a folder's layout around them. */
import type { Split } from "../data/dataset.js";
import type { Decoder } from "../data/decode.js";

export function fileSplit(
  files: readonly string[],
  labels: Int32Array,
  { decoder, size }: { decoder: Decoder; size: number },
): Split {
  return {
    length: files.length,
    labels,
    read: (places) => Promise.all(Array.from(places, (place) => decoder.decode(files[place]!, size))),
    describe: (place) => files[place]!,
  };
}

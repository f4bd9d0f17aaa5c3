/** A split whose images are in memory as bytes. */

import { TrainerError } from "../errors.js";
import type { Image, Split } from "./dataset.js";

/** Images of one file, in its order. */
export interface PixelBlock {
  /** For messages; an image is called "name#place". */
  readonly name: string;
  /** [count, height, width, 3] */
  readonly pixels: Uint8Array;
  /** [count] */
  readonly labels: Uint16Array;
}

/** The blocks one after another. Reading copies: 0.1 ms for 128 images of 32 x 32. */
export function memorySplit(parts: readonly PixelBlock[], height: number, width: number): Split {
  const imageBytes = height * width * 3;
  const starts: number[] = [];
  let length = 0;
  for (const { name, pixels, labels } of parts) {
    if (pixels.length !== labels.length * imageBytes) {
      const expected = labels.length * imageBytes;
      throw new TrainerError("ERR_DATA", `${name}: ${pixels.length} bytes of pixels, expected ${expected}.`);
    }
    starts.push(length);
    length += labels.length;
  }
  const labels = new Uint16Array(length);
  parts.forEach((part, at) => labels.set(part.labels, starts[at]));

  function locate(index: number): { part: PixelBlock; place: number } {
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new TrainerError("ERR_INTERNAL", `expected an index below ${length}, got ${index}.`);
    }
    const at = starts.findLastIndex((start) => start <= index);
    return { part: parts[at]!, place: index - starts[at]! };
  }

  return {
    length,
    labels,
    read(indices) {
      const bytes = new Uint8Array(indices.length * imageBytes);
      const images: Image[] = [];
      for (let n = 0; n < indices.length; n++) {
        const { part, place } = locate(indices[n]!);
        const pixels = bytes.subarray(n * imageBytes, (n + 1) * imageBytes);
        pixels.set(part.pixels.subarray(place * imageBytes, (place + 1) * imageBytes));
        images.push({ pixels, height, width });
      }
      return images;
    },
    describe(index) {
      const { part, place } = locate(index);
      return `${part.name}#${place}`;
    },
  };
}

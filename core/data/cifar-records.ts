/**
 * The records of CIFAR's binary version: one or two label bytes, then 32 x 32 pixels as a red, a green and a
 * blue plane. https://www.cs.toronto.edu/~kriz/cifar.html
 */

import { TrainerError } from "../errors.js";

export const side = 32;
const plane = side * side;
export const imageBytes = 3 * plane;

/** A label byte of a record. */
export interface LabelByte {
  /** For messages: "label", "coarse label". */
  readonly name: string;
  readonly classes: number;
}

/** What a file of records holds. */
export interface Records {
  /** [count, 32, 32, 3] */
  readonly pixels: Uint8Array;
  /** One array of [count] for each label byte. */
  readonly labels: readonly Uint16Array[];
}

/**
 * Decodes a file of records. The pixels are put in order inside `bytes`, which belongs to the answer from
 * then on: a second buffer would double the 184 MB of a data set.
 *
 * @throws TrainerError ERR_DATA for a size that is not a whole number of records, or a label out of range
 */
export function decodeRecords(file: string, bytes: Uint8Array, labelBytes: readonly LabelByte[]): Records {
  const header = labelBytes.length;
  const recordBytes = header + imageBytes;
  const count = Math.floor(bytes.length / recordBytes);
  if (bytes.length === 0 || bytes.length % recordBytes !== 0) {
    const kind = bytes[0] === 0x3c ? 'begins with "<" like a web page' : "was cut short or is another format";
    throw new TrainerError(
      "ERR_DATA",
      `${file} has ${bytes.length} bytes, expected a multiple of ${recordBytes}: it holds ${count} whole ` +
        `records and ${bytes.length % recordBytes} bytes more. It ${kind}. Fetch it again.`,
    );
  }
  const labels = labelBytes.map(() => new Uint16Array(count));
  const planes = new Uint8Array(imageBytes);
  for (let record = 0; record < count; record++) {
    const start = record * recordBytes;
    for (let at = 0; at < header; at++) {
      const label = bytes[start + at]!;
      const { name, classes } = labelBytes[at]!;
      if (label >= classes) {
        throw new TrainerError(
          "ERR_DATA",
          `${file}: record ${record} has ${name} ${label}, expected 0 to ${classes - 1}. ` +
            "The file is damaged or has another layout.",
        );
      }
      labels[at]![record] = label;
    }
    planes.set(bytes.subarray(start + header, start + recordBytes));
    // An image's new place ends before the next record begins, so nothing unread is overwritten.
    interleave(planes, bytes, record * imageBytes);
  }
  return { pixels: bytes.subarray(0, count * imageBytes), labels };
}

/** Planes RRR GGG BBB -> pixels RGB RGB RGB. */
function interleave(planes: Uint8Array, out: Uint8Array, offset: number): void {
  for (let pixel = 0; pixel < plane; pixel++) {
    out[offset++] = planes[pixel]!;
    out[offset++] = planes[plane + pixel]!;
    out[offset++] = planes[2 * plane + pixel]!;
  }
}

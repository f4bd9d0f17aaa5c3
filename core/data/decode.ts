/**
 * One picture file to square RGB bytes, by sharp (libvips), in a libuv thread.
 *
 * What is done: EXIF rotation; ICC profile, CMYK, greyscale and 16 bits to 8-bit sRGB; transparency laid on
 * white, where pictures from the web were meant to lie; the shorter side scaled to `size` (triangle filter,
 * as PIL and torchvision scale); the centre cut out. Of an animation the first frame.
 */

import { availableParallelism } from "node:os";

import { TrainerError } from "../errors.js";
import type { Picture } from "./dataset.js";

/** A truncated or damaged body is an error; a mere oddity, which many good JPEG files have, is not. */
const inputOptions = { failOn: "error" } as const;

/** Work on one picture file. Each call hands its job to libuv before it returns. */
export interface Decoder {
  /** Decodes a file to [size, size, 3]. */
  decode(file: string, size: number): Promise<Picture>;
  /** Reads a file's header only; rejects if there is no picture behind it. */
  checkHeader(file: string): Promise<void>;
}

/** Loads sharp, which data sets without files should not pay for: 60 ms and a native library. */
export async function openDecoder(): Promise<Decoder> {
  const { default: sharp } = await import("sharp");
  // Its cache keys files by name: it would keep memory that training needs, for pictures seen once an epoch.
  sharp.cache(false);
  return {
    async decode(file, size) {
      const { data, info } = await sharp(file, inputOptions)
        .autoOrient()
        .resize(size, size, { fit: "cover", position: "centre", kernel: "linear" })
        .flatten({ background: "white" })
        .raw({ depth: "uchar" })
        .toBuffer({ resolveWithObject: true });
      if (info.channels !== 3) throw new Error(`it decodes to ${info.channels} channels, expected 3`);
      const pixels = new Uint8Array(data.buffer, data.byteOffset, data.length);
      return { pixels, height: info.height, width: info.width };
    },
    async checkHeader(file) {
      const { width, height } = await sharp(file, inputOptions).metadata();
      if (!width || !height) throw new Error("it has no size");
    },
  };
}

export interface Damaged {
  readonly file: string;
  readonly problem: string;
}

/** Runs a check over all files, a few at a time; those that fail it, in order. */
export async function findDamaged(
  files: readonly string[],
  check: (file: string) => Promise<unknown>,
): Promise<Damaged[]> {
  const problems = new Map<number, string>();
  let next = 0;
  async function work(): Promise<void> {
    while (next < files.length) {
      const at = next++;
      await check(files[at]!).catch((error: Error) => problems.set(at, oneLine(error.message)));
    }
  }
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, work));
  return [...problems].sort(([a], [b]) => a - b).map(([at, problem]) => ({ file: files[at]!, problem }));
}

/** One error for all of them, at most 20 by name. */
export function damagedError(damaged: readonly Damaged[], total: number): TrainerError {
  const shown = damaged.slice(0, 20).map(({ file, problem }) => `  ${file}: ${problem}`);
  if (damaged.length > shown.length) shown.push(`  … and ${damaged.length - shown.length} more`);
  return new TrainerError(
    "ERR_DATA",
    `${damaged.length} of ${total} pictures cannot be decoded. Replace or remove them:\n${shown.join("\n")}`,
  );
}

/** libvips spreads a message over lines, of which the second often has the reason. */
export function oneLine(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

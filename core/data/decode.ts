/**
 * One image file to square RGB bytes, by sharp (libvips), in a libuv thread.
 *
 * What is done: EXIF rotation; ICC profile, CMYK, greyscale and 16 bits to 8-bit sRGB; transparency laid on
 * white, where images from the web were meant to lie; the shorter side scaled to `size` (triangle filter,
 * as PIL and torchvision scale); the centre cut out. Of an animation the first frame, of a TIFF the first page.
 */

import { availableParallelism } from "node:os";

import { TrainerError } from "../errors.js";
import type { Image } from "./dataset.js";

/** What one image may take. */
export interface DecodeLimits {
  /** Width × height of the file. Default: 100,000,000. */
  maxPixels?: number;
  /** Seconds of decoding, a whole number. Default: 30. */
  maxSeconds?: number;
}

export const defaultLimits = { maxPixels: 100_000_000, maxSeconds: 30 } as const satisfies DecodeLimits;

/** The library's loaders of the formats in `imageFormats`; HEIF's reads AVIF. */
const loaders = ["Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Heif"].map((name) => `VipsForeignLoad${name}`);

type Library = typeof import("sharp").default;
let library: Promise<Library> | undefined;

async function loadLibrary(): Promise<Library> {
  const { default: sharp } = await import("sharp");
  // Once: between the two calls no image can be read.
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({ operation: loaders });
  // Its cache keys files by name: it would keep memory that training needs, for images seen once an epoch.
  sharp.cache(false);
  return sharp;
}

/** Work on one image file. Each call hands its job to libuv before it returns. */
export interface Decoder {
  /** Decodes a file, a file's bytes, or RGB bytes of any size, to [size, size, 3]. */
  decode(source: string | Uint8Array | Image, size: number): Promise<Image>;
  /** Reads a file's header only; rejects if there is no image behind it. */
  checkHeader(file: string): Promise<void>;
}

/**
 * Loads sharp, which data sets without files should not pay for: 60 ms and a native library. From then on this process
 * reads the formats in `imageFormats` and no other, whatever a file is called: an SVG could draw the files beside it.
 */
export async function openDecoder({
  maxPixels = defaultLimits.maxPixels,
  maxSeconds = defaultLimits.maxSeconds,
}: DecodeLimits = {}): Promise<Decoder> {
  const sharp = await (library ??= loadLibrary());
  /** A truncated or damaged body is an error; a mere oddity, which many good JPEG files have, is not. */
  const inputOptions = { failOn: "error", limitInputPixels: maxPixels } as const;
  const inputOf = (source: string | Uint8Array | Image): Parameters<typeof sharp> => {
    if (typeof source === "string" || source instanceof Uint8Array) return [source, inputOptions];
    const { pixels, height, width } = source;
    return [pixels, { ...inputOptions, raw: { height, width, channels: 3 } }];
  };
  return {
    async decode(source, size) {
      const { data, info } = await sharp(...inputOf(source))
        .timeout({ seconds: maxSeconds })
        .autoOrient()
        .resize(size, size, { fit: "cover", position: "centre", kernel: "linear" })
        .flatten({ background: "white" })
        .raw({ depth: "uchar" })
        .toBuffer({ resolveWithObject: true })
        .catch((error: Error) => {
          if (!error.message.startsWith("timeout:")) throw error;
          throw new Error(`it takes longer than ${maxSeconds} s to decode (maxSeconds)`, { cause: error });
        });
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
  /** Its place in the split, where it was read as part of one. */
  readonly place?: number;
  /** Why it cannot be read: part of a sentence. */
  readonly problem: string;
}

/** Does `work` on all items, a few at a time. */
export async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  async function worker(): Promise<void> {
    while (next < items.length) await work(items[next++]!);
  }
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, worker));
}

/**
 * The same with the reason of each, found by reading one file at a time: the library mixes the messages of images that
 * it decodes at once. A file that can be read alone keeps the first reason.
 */
export async function reasonsAlone(
  damaged: readonly Damaged[],
  read: (file: string) => Promise<unknown>,
): Promise<Damaged[]> {
  const found: Damaged[] = [];
  for (const each of damaged) {
    const problem = await read(each.file).then(
      () => each.problem,
      (error: Error) => oneLine(error.message),
    );
    found.push({ ...each, problem });
  }
  return found;
}

/** One error for all of them, at most 20 by name. */
export function damagedError(damaged: readonly Damaged[], total: number): TrainerError {
  const shown = damaged.slice(0, 20).map(({ file, place, problem }) => {
    return `  ${file}${place === undefined ? "" : ` (image ${place} of its split)`}: ${problem}`;
  });
  if (damaged.length > shown.length) shown.push(`  … and ${damaged.length - shown.length} more`);
  return new TrainerError(
    "ERR_DATA",
    `${damaged.length} of ${total} images cannot be read. Replace or remove them:\n${shown.join("\n")}`,
  );
}

/** libvips spreads a message over lines, of which the second often has the reason. */
export function oneLine(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

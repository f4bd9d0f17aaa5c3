/**
 * One image file to square RGB bytes, by sharp (libvips), in a libuv thread.
 *
 * What is done: EXIF rotation; CMYK, greyscale and 16 bits to 8-bit sRGB; transparency laid on white, where images from
 * the web were meant to lie; a region, or the centre, scaled to a square (triangle filter or cubic, as PIL and torchvision
 * scale). Of an animation the first frame, of a TIFF the first page. Colour profiles are ignored, as torchvision, timm and
 * Keras ignore them, unless they are asked for: they can cost as much as all the rest.
 */

import { availableParallelism } from "node:os";

import { TrainerError } from "../errors.js";
import { resizeCentre, resizeRegion } from "../image/resize.js";
import type { Decoding, Image, Rectangle, Size } from "./dataset.js";

export const defaultDecoding: Decoding = { crop: 1, interpolation: "bilinear", colorProfiles: false };
/** What every run did before it was a choice. */
export const earlierDecoding: Decoding = { ...defaultDecoding, colorProfiles: true };

/** What a file's header says, orientation applied. */
export interface ImageHeader extends Size {
  /** As the library calls it: "jpeg", "png". */
  readonly format: string;
  /** Three channels of 8 bits in sRGB: cut out before or after it is decoded, it has the same bytes. */
  readonly plain: boolean;
}

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
  // Images are decoded several at a time: more threads for each cost a twentieth more processor time.
  sharp.concurrency(1);
  return sharp;
}

/**
 * Up to so many pixels for each of the result, an image that is scaled bilinearly is decoded whole and scaled here: most of
 * the time that libvips takes to scale a small image goes into making its pipeline. Larger ones would wait in memory until
 * this thread has time for them.
 */
const ownScaling = 8;

type Source = string | Uint8Array | Image;

/** Work on one image file. Each call hands its job to libuv before it returns. */
export interface Decoder {
  /**
   * Decodes a file, a file's bytes, or RGB bytes of any size, to the [size, size, 3] of its centre.
   *
   * @param known its size, which is read from the file otherwise
   */
  decode(source: Source, size: number, known?: Size): Promise<Image>;
  /** Decodes a region to [size, size, 3]. A JPEG is decoded at half, a quarter or an eighth where that is enough. */
  decodeRegion(source: Source, region: Rectangle, header: ImageHeader, size: number): Promise<Image>;
  /** All of a file's pixels. */
  decodeWhole(file: string): Promise<Image>;
  /** A copy of a file whose longer side has at most `side` pixels. */
  thumbnail(file: string, side: number): Promise<Image>;
  /** Reads a file's header only; rejects if there is no image behind it. */
  readHeader(file: string): Promise<ImageHeader>;
}

/**
 * Loads sharp, which data sets without files should not pay for: 60 ms and a native library. From then on this process
 * reads the formats in `imageFormats` and no other, whatever a file is called: an SVG could draw the files beside it.
 */
export async function openDecoder({
  maxPixels = defaultLimits.maxPixels,
  maxSeconds = defaultLimits.maxSeconds,
  crop = defaultDecoding.crop,
  interpolation = defaultDecoding.interpolation,
  colorProfiles = defaultDecoding.colorProfiles,
}: DecodeLimits & Partial<Decoding> = {}): Promise<Decoder> {
  const sharp = await (library ??= loadLibrary());
  /** A truncated or damaged body is an error; a mere oddity, which many good JPEG files have, is not. */
  const inputOptions = { failOn: "error", limitInputPixels: maxPixels, ignoreIcc: !colorProfiles } as const;
  const bilinear = interpolation === "bilinear";
  const kernel = interpolation === "bicubic" ? "cubic" : "linear";
  const open = (source: Source): ReturnType<Library> => {
    const timeout = { seconds: maxSeconds };
    if (typeof source === "string" || source instanceof Uint8Array) return sharp(source, inputOptions).timeout(timeout);
    const { pixels, height, width } = source;
    return sharp(pixels, { ...inputOptions, raw: { height, width, channels: 3 } }).timeout(timeout);
  };
  const read = async (pipeline: ReturnType<Library>): Promise<Image> => {
    const { data, info } = await pipeline
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
  };
  /** The library names neither size nor limit of an image that is too large. */
  const explained = async (file: string | Uint8Array, error: Error): Promise<never> => {
    if (!error.message.includes("exceeds pixel limit")) throw error;
    const { width, height } = await sharp(file, { ...inputOptions, limitInputPixels: false }).metadata();
    const text = (value: number): string => value.toLocaleString("en-US");
    throw new Error(
      `it has ${width} × ${height} = ${text(width * height)} pixels, more than the limit maxPixels = ${text(maxPixels)}`,
      { cause: error },
    );
  };
  const readHeader = async (file: string | Uint8Array): Promise<ImageHeader> => {
    const { autoOrient, format, channels, depth, space, hasProfile } = await sharp(file, inputOptions)
      .metadata()
      .catch((error: Error) => explained(file, error));
    const { width, height } = autoOrient;
    if (!width || !height) throw new Error("it has no size");
    const plain = channels === 3 && depth === "uchar" && space === "srgb" && !(hasProfile && colorProfiles);
    return { width, height, format, plain };
  };
  const cut = ({ left, top, width, height }: Rectangle) => ({ left, top, width, height });
  return {
    async decode(source, size, known) {
      // Scaled as timm scales it: the shorter side to floor(size / crop), then the centre.
      const whole = Math.floor(size / crop);
      const isImage = typeof source === "object" && "pixels" in source;
      if (bilinear) {
        const { height, width } = isImage ? source : (known ?? (await readHeader(source)));
        if (height * width <= ownScaling * whole * whole) {
          const image = isImage ? source : await read(open(source).autoOrient());
          return resizeCentre(image, { shorter: whole, size });
        }
      }
      const edge = Math.round((whole - size) / 2);
      // Not by the library's fast path for JPEG, which moves a small image by parts of a pixel.
      const cover = { fit: "cover", position: "centre", kernel, fastShrinkOnLoad: false } as const;
      const scaled = open(source).autoOrient().resize(whole, whole, cover);
      return read(whole === size ? scaled : scaled.extract({ left: edge, top: edge, width: size, height: size }));
    },
    async decodeRegion(source, region, header, size) {
      const factor = shrinkFactor(header, region, size);
      const fill = { fit: "fill", kernel } as const;
      const square = { height: size, width: size };
      // libvips shifts by half a pixel where it enlarges.
      const enlarges = region.height < size || region.width < size;
      if (enlarges || (bilinear && factor === 1 && region.height * region.width <= ownScaling * size * size)) {
        if (typeof source === "object" && "pixels" in source) return resizeRegion(source, region, square);
        const small = await read(open(source).autoOrient().extract(cut(region)));
        return resizeRegion(small, { ...region, top: 0, left: 0 }, square);
      }
      const upright = open(source).autoOrient();
      if (factor === 1) return read(upright.extract(cut(region)).resize(size, size, fill));
      const [height, width] = [header.height, header.width].map((side) => Math.floor(side / factor)) as [
        number,
        number,
      ];
      const small = await read(upright.resize(width, height, fill));
      return read(
        open(small)
          .extract(cut(scaledRegion(region, header, small)))
          .resize(size, size, fill),
      );
    },
    thumbnail: (file, side) =>
      read(open(file).autoOrient().resize(side, side, { fit: "inside", withoutEnlargement: true, kernel: "linear" })),
    decodeWhole: (file) => read(open(file).autoOrient()),
    readHeader,
  };
}

/** By how much an image may be shrunk while it is decoded, so that a region still has `size` pixels each way. */
export function shrinkFactor({ format }: ImageHeader, { height, width }: Size, size: number): 1 | 2 | 4 | 8 {
  const factors = format === "jpeg" ? ([8, 4, 2] as const) : [];
  return factors.find((factor) => Math.min(height, width) >= factor * size) ?? 1;
}

/** A region of an image in the pixels of a smaller copy, to the nearest pixel and never empty. */
function scaledRegion({ top, left, height, width }: Rectangle, whole: Size, small: Size): Rectangle {
  const place = (from: number, length: number, side: number, scaled: number): [start: number, length: number] => {
    const start = Math.min(scaled - 1, Math.round((from * scaled) / side));
    return [start, Math.max(1, Math.min(scaled, Math.round(((from + length) * scaled) / side)) - start)];
  };
  const [y, tall] = place(top, height, whole.height, small.height);
  const [x, wide] = place(left, width, whole.width, small.width);
  return { top: y, left: x, height: tall, width: wide };
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

/**
 * One error for all of them, at most 20 by name.
 *
 * @param data the folder or CSV that the user gave, where the images may be left out by a list
 */
export function damagedError(damaged: readonly Damaged[], total: number, data?: string): TrainerError {
  const shown = damaged.slice(0, 20).map(({ file, place, problem }) => {
    return `  ${file}${place === undefined ? "" : ` (image ${place} of its split)`}: ${problem}`;
  });
  if (damaged.length > shown.length) shown.push(`  … and ${damaged.length - shown.length} more`);
  if (data !== undefined) {
    shown.push(
      `Or train without them: \`trainer data check ${data}\` writes issues.csv, then add --exclude issues.csv.`,
    );
  }
  if (damaged.some(({ problem }) => problem.includes("maxPixels"))) {
    shown.push("Or allow larger images: --set data.maxPixels=N, which takes 3 bytes of memory a pixel.");
  }
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

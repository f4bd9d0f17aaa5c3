/**
 * Images in folders named after their classes:
 *
 *     path/train/<class>/…    path/valid/<class>/…    path/test/<class>/…
 *     path/<class>/…                                  all of it for training, no test split
 *
 * or in a CSV file of paths and labels.
 */

import { createHash } from "node:crypto";
import { dirname, relative, resolve } from "node:path";
import { z } from "zod";

import { TrainerError } from "../errors.js";
import { type Part, partFactory } from "../parts.js";
import {
  type Data,
  type DataSource,
  type Decoding,
  type Image,
  interpolations,
  type Rectangle,
  type Split,
} from "./dataset.js";
import {
  type Damaged,
  type DecodeLimits,
  type Decoder,
  damagedError,
  defaultDecoding,
  defaultLimits,
  type ImageHeader,
  oneLine,
  openDecoder,
  reasonsAlone,
  shrinkFactor,
} from "./decode.js";
import { readExcluded } from "./exclude.js";
import { type ClassFolder, type FolderScan, scanFolder } from "./folder-scan.js";
import { checkImages } from "./image-checks.js";
import { isLabelFile, scanLabelFile } from "./label-file.js";

export interface ImageFolderOptions extends DecodeLimits, Partial<Decoding> {
  /** A folder of class folders, or a CSV file with columns path, label and maybe split, its paths relative to it. */
  path: string;
  /** Height and width that every image is scaled and cut to. Default: 224. */
  size?: number;
  /** A CSV file with a column `file`: images to leave out (`trainer data check` writes one). */
  exclude?: string;
  /** Megabytes of decoded images that are kept in memory, so that later epochs decode fewer. Default: 512. */
  cache?: number;
  /**
   * Decode every image once before training, not only its header. Without it a damaged image ends the run when it is
   * first read. Default: true.
   */
  validateAll?: boolean;
  /** Of the channels R, G and B in [0, 1]. Default: ImageNet's; pretrained weights may expect others. */
  mean?: [number, number, number];
  deviation?: [number, number, number];
}

/** What ImageNet's training set has (torchvision's figures); most pretrained weights expect them. */
export const imageNetStatistics = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] } as const;

const channels = (each: z.ZodNumber) => z.tuple([each, each, each]);

const schema = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      "a folder with one folder a class, or with train/ and test/ that have them; or a CSV file: path,label[,split]",
    ),
  size: z.int().min(8).max(4096).default(224).describe("side in pixels that every image is scaled and cut to"),
  crop: z
    .number()
    .gt(0)
    .max(1)
    .default(defaultDecoding.crop)
    .describe(
      "share of the shorter side that the centre has where no plugin crops at random; 0.875 for most timm weights",
    ),
  interpolation: z.enum(interpolations).default(defaultDecoding.interpolation).describe("filter that scales images"),
  colorProfiles: z
    .boolean()
    .default(defaultDecoding.colorProfiles)
    .describe("convert embedded colour profiles to sRGB; torchvision, timm and Keras ignore them"),
  exclude: z.string().min(1).optional().describe("CSV with a column file: images to leave out; data check writes one"),
  cache: z.int().min(0).default(512).describe("megabytes of decoded images to keep in memory"),
  validateAll: z.boolean().default(true).describe("decode every image once before training"),
  mean: channels(z.number())
    .default([...imageNetStatistics.mean])
    .describe("of the channels R, G, B in [0, 1]; pretrained weights may expect others"),
  deviation: channels(z.number().positive())
    .default([...imageNetStatistics.deviation])
    .describe("of the same channels"),
  maxPixels: z.int().min(1).default(defaultLimits.maxPixels).describe("limit on an image's size, in pixels"),
  maxSeconds: z.int().min(1).max(3600).default(defaultLimits.maxSeconds).describe("time limit for one image"),
});

/** A data set of image files (JPEG, PNG, WebP, GIF, TIFF, AVIF), decoded when they are read. */
export const imageFolder: (options: ImageFolderOptions) => Part<DataSource> = partFactory(
  "data",
  "imageFolder",
  schema,
  (options) => {
    const { size, validateAll, crop, interpolation, colorProfiles, mean, deviation } = options;
    const path = resolve(options.path);
    const exclude = options.exclude === undefined ? undefined : resolve(options.exclude);
    return {
      name: "imageFolder",
      options: { ...options, path, ...(exclude !== undefined && { exclude }) },
      async load({ log = () => {}, warn = () => {} }) {
        const scan = await scanImages(path);
        const { root } = scan;
        const { layout, unused, hidden } = scan;
        log(layout);
        if (unused) warn(unused);
        if (hidden) log(hidden);
        const { train, validation = [], test } = exclude === undefined ? scan : await without(scan, root, exclude, log);
        const classes = train.map(({ name }) => name);
        const folders = [...train, ...validation, ...(test ?? [])];
        const files = folders.flatMap((folder) => folder.files);
        const decoder = await openDecoder(options);
        const { hashes, headers, damaged } = await checkImages(files, {
          root,
          full: validateAll,
          decode: async (file, full) => {
            const header = await decoder.readHeader(file);
            if (full) await decoder.decode(file, size, header);
            return header;
          },
          log,
        });
        if (damaged.length) throw damagedError(damaged, files.length, path);
        const own = train.reduce((sum, folder) => sum + folder.files.length, 0);
        const store = imageStore(decoder, headers, size, options.cache * 1e6);
        const split = folderSplit(root, [...train, ...validation], classes, store);
        return {
          classes,
          height: size,
          width: size,
          train: split,
          ...(split.length > own && { validation: Int32Array.from(split.labels.keys()).slice(own) }),
          ...(test && { test: folderSplit(root, test, classes, store) }),
          mean,
          deviation,
          decoding: { crop, interpolation, colorProfiles },
          fingerprint: fingerprintOf(root, isLabelFile(path) ? { train, validation, test } : {}, files, hashes),
        } satisfies Data;
      },
    };
  },
);

/** What is below a path, or in a CSV file: `root` is the folder that names of files are relative to. */
export async function scanImages(path: string): Promise<FolderScan & { readonly root: string }> {
  return isLabelFile(path)
    ? { ...(await scanLabelFile(path)), root: dirname(path) }
    : { ...(await scanFolder(path)), root: path };
}

type Splits = Pick<FolderScan, "train" | "validation" | "test">;

/** What a list of files leaves. @throws TrainerError ERR_DATA where a class has no training image any more */
async function without(splits: Splits, root: string, list: string, log: (line: string) => void): Promise<Splits> {
  const excluded = await readExcluded(list);
  let count = 0;
  const kept = (folders: readonly ClassFolder[] | undefined): ClassFolder[] | undefined =>
    folders?.map(({ name, files }) => {
      const left = files.filter((file) => !excluded.has(relative(root, file)));
      count += files.length - left.length;
      return { name, files: left };
    });
  const train = kept(splits.train)!;
  const others = { validation: kept(splits.validation), test: kept(splits.test) };
  log(`left out by ${list}: ${count} image${count === 1 ? "" : "s"}`);
  const empty = train.filter(({ files }) => files.length === 0).map(({ name }) => name);
  if (empty.length === 0) return { train, ...others };
  throw new TrainerError(
    "ERR_DATA",
    `exclude: ${list} leaves no training image of ${empty.join(", ")}. Remove rows from it.`,
  );
}

/** Decodes when read. */
function folderSplit(
  root: string,
  folders: readonly ClassFolder[],
  classes: readonly string[],
  store: ImageStore,
): Split {
  const files = folders.flatMap((folder) => folder.files);
  const labels = Int32Array.from(
    folders.flatMap(({ name, files }) => new Array<number>(files.length).fill(classes.indexOf(name))),
  );
  /** All at once: libuv's own queue bounds what decodes at a time, and continues while a training step blocks this thread. */
  async function readAll(
    indices: ArrayLike<number>,
    read: (file: string, at: number) => Promise<Image>,
  ): Promise<Image[]> {
    const damaged: Damaged[] = [];
    const images = await Promise.all(
      Array.from(indices, (index, at) => {
        const file = files[index]!;
        return read(file, at).catch((error: Error): undefined => {
          damaged.push({ file, place: index, problem: oneLine(error.message) });
        });
      }),
    );
    if (damaged.length === 0) return images as Image[];
    damaged.sort((a, b) => a.place! - b.place!);
    throw damagedError(await reasonsAlone(damaged, store.read), indices.length);
  }
  return {
    length: files.length,
    labels,
    read: (indices) => readAll(indices, store.read),
    // The regions first: a hook that fails is no damaged file.
    async readRegions(indices, regionOf) {
      const regions = Array.from(indices, (index, at) => regionOf(at, store.headerOf(files[index]!)));
      return readAll(indices, (file, at) => store.readRegion(file, regions[at]!));
    },
    describe: (index) => files[index]!,
    file: (index) => ({ path: files[index]!, name: relative(root, files[index]!) }),
  };
}

/** Images of a folder by file. */
interface ImageStore {
  headerOf(file: string): ImageHeader;
  /** The centre, as a run's evaluation sees it. */
  read(file: string): Promise<Image>;
  readRegion(file: string, region: Rectangle): Promise<Image>;
}

/**
 * Decodes files and caches the images until `room` bytes are full. Nothing is evicted: the order differs in every epoch, so
 * no image is worth more than another. If regions of an image are read, all its pixels are cached, but only of a plain image:
 * other images would have other bytes, and a resumed run, which decodes again, would differ. Callers own what they receive.
 */
function imageStore(
  decoder: Decoder,
  headers: ReadonlyMap<string, ImageHeader>,
  size: number,
  room: number,
): ImageStore {
  let left = room;
  const centres = new Map<string, Image>();
  const wholes = new Map<string, Image>();
  const keep = (kept: Map<string, Image>, file: string, image: Image): Image => {
    if (image.pixels.length > left || kept.has(file)) return image;
    left -= image.pixels.length;
    kept.set(file, { ...image, pixels: image.pixels.slice() });
    return image;
  };
  /** One that takes a large share of the room would leave none for the others. */
  const isKept = ({ plain, height, width }: ImageHeader): boolean => plain && 3 * height * width <= room / 256;
  const headerOf = (file: string): ImageHeader => headers.get(file)!;
  return {
    headerOf,
    async read(file) {
      const kept = centres.get(file);
      return kept
        ? { ...kept, pixels: kept.pixels.slice() }
        : keep(centres, file, await decoder.decode(file, size, headerOf(file)));
    },
    async readRegion(file, region) {
      const header = headerOf(file);
      const regionOf = (source: string | Image) => decoder.decodeRegion(source, region, header, size);
      if (shrinkFactor(header, region, size) > 1) return regionOf(file);
      const kept = wholes.get(file);
      if (kept) return regionOf(kept);
      if (!isKept(header) || 3 * header.height * header.width > left) return regionOf(file);
      return regionOf(keep(wholes, file, await decoder.decodeWhole(file)));
    },
  };
}

/** Of the names and the contents of all images, in their order; of splits and labels where the names do not say them. */
function fingerprintOf(
  path: string,
  splits: Partial<Splits>,
  files: readonly string[],
  hashes: ReadonlyMap<string, string>,
): string {
  const hash = createHash("sha256");
  for (const [split, classes = []] of Object.entries(splits)) {
    for (const { name, files: own } of classes) hash.update(`${split}\0${name}\0${own.length}\n`);
  }
  for (const file of files) hash.update(`${relative(path, file)}\0${hashes.get(file)!}\n`);
  return hash.digest("hex");
}

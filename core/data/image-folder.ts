/**
 * Images in folders named after their classes:
 *
 *     path/train/<class>/…    path/valid/<class>/…    path/test/<class>/…
 *     path/<class>/…                                  all of it for training, no test split
 */

import { createHash } from "node:crypto";
import { relative, resolve } from "node:path";
import { z } from "zod";

import { type Part, partFactory } from "../parts.js";
import type { Data, DataSource, Image, Split } from "./dataset.js";
import {
  type Damaged,
  type DecodeLimits,
  type Decoder,
  damagedError,
  defaultLimits,
  oneLine,
  openDecoder,
  reasonsAlone,
} from "./decode.js";
import { type ClassFolder, scanFolder } from "./folder-scan.js";
import { checkImages } from "./image-checks.js";

export interface ImageFolderOptions extends DecodeLimits {
  path: string;
  /** Height and width that every image is scaled and cut to. Default: 224. */
  size?: number;
  /**
   * Decode every image once before training, not only its header. Without it a damaged image ends the run when it is
   * first read. Default: true.
   */
  validateAll?: boolean;
}

/** What ImageNet's training set has (torchvision's figures); most pretrained weights expect them. */
export const imageNetStatistics = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] } as const;

const schema = z.strictObject({
  path: z.string().min(1).describe("a folder with one folder a class, or with train/ and test/ that have them"),
  size: z.int().min(8).max(4096).default(224).describe("side in pixels that every image is scaled and cut to"),
  validateAll: z.boolean().default(true).describe("decode every image once before training"),
  maxPixels: z.int().min(1).default(defaultLimits.maxPixels).describe("limit on an image's size, in pixels"),
  maxSeconds: z.int().min(1).max(3600).default(defaultLimits.maxSeconds).describe("time limit for one image"),
});

/** A data set of image files (JPEG, PNG, WebP, GIF, TIFF, AVIF), decoded when they are read. */
export const imageFolder: (options: ImageFolderOptions) => Part<DataSource> = partFactory(
  "data",
  "imageFolder",
  schema,
  (options) => {
    const { size, validateAll } = options;
    const path = resolve(options.path);
    return {
      name: "imageFolder",
      options: { ...options, path },
      async load({ log = () => {}, warn = () => {} }) {
        const { train, validation = [], test, layout, unused, hidden } = await scanFolder(path);
        log(layout);
        if (unused) warn(unused);
        if (hidden) log(hidden);
        const classes = train.map(({ name }) => name);
        const folders = [...train, ...validation, ...(test ?? [])];
        const files = folders.flatMap((folder) => folder.files);
        const decoder = await openDecoder(options);
        const { hashes, damaged } = await checkImages(files, {
          root: path,
          full: validateAll,
          decode: (file, full) => (full ? decoder.decode(file, size) : decoder.checkHeader(file)),
          log,
        });
        if (damaged.length) throw damagedError(damaged, files.length);
        const own = train.reduce((sum, folder) => sum + folder.files.length, 0);
        const split = folderSplit(path, [...train, ...validation], classes, size, decoder);
        return {
          classes,
          height: size,
          width: size,
          train: split,
          ...(split.length > own && { validation: Int32Array.from(split.labels.keys()).slice(own) }),
          ...(test && { test: folderSplit(path, test, classes, size, decoder) }),
          ...imageNetStatistics,
          fingerprint: fingerprintOf(path, files, hashes),
        } satisfies Data;
      },
    };
  },
);

/** Decodes when read. */
function folderSplit(
  root: string,
  folders: readonly ClassFolder[],
  classes: readonly string[],
  size: number,
  decoder: Decoder,
): Split {
  const files = folders.flatMap((folder) => folder.files);
  const labels = Int32Array.from(
    folders.flatMap(({ name, files }) => new Array<number>(files.length).fill(classes.indexOf(name))),
  );
  return {
    length: files.length,
    labels,
    async read(indices) {
      // All at once: libuv's own queue bounds what decodes at a time, and goes on while a training step
      // blocks this thread. Jobs handed out from here one by one would wait for the step to end.
      const damaged: Damaged[] = [];
      const images = await Promise.all(
        Array.from(indices, async (index): Promise<Image | undefined> => {
          const file = files[index]!;
          return decoder.decode(file, size).catch((error: Error) => {
            damaged.push({ file, place: index, problem: oneLine(error.message) });
            return undefined;
          });
        }),
      );
      if (damaged.length === 0) return images as Image[];
      damaged.sort((a, b) => a.place! - b.place!);
      throw damagedError(await reasonsAlone(damaged, (file) => decoder.decode(file, size)), indices.length);
    },
    describe: (index) => files[index]!,
    file: (index) => ({ path: files[index]!, name: relative(root, files[index]!) }),
  };
}

/** Of the names and the contents of all images, in their order. */
function fingerprintOf(path: string, files: readonly string[], hashes: ReadonlyMap<string, string>): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${relative(path, file)}\0${hashes.get(file)!}\n`);
  return hash.digest("hex");
}

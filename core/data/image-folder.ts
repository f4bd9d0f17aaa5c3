/**
 * Pictures in folders named after their classes:
 *
 *     path/train/<class>/*.jpg    path/test/<class>/*.png      (or val/ for test/)
 *     path/<class>/*.webp                                      all of it for training, no test split
 */

import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { z } from "zod";

import { TrainerError } from "../errors.js";
import { partFactory } from "../options.js";
import type { Data, DataSource, Picture, Split } from "./dataset.js";
import { type Damaged, type Decoder, damagedError, findDamaged, oneLine, openDecoder } from "./decode.js";

export interface ImageFolderOptions {
  path: string;
  /** Height and width that every picture is scaled and cut to. Default: 224. */
  size?: number;
  /**
   * Decode every picture while loading, not only its header. Slow, and finds damage before training. Default:
   * false.
   */
  validateAll?: boolean;
}

/** What ImageNet's training set has (torchvision's figures); most pretrained weights expect them. */
export const imageNetStatistics = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] } as const;

const schema = z.strictObject({
  path: z.string().min(1),
  size: z.int().min(8).max(4096).default(224),
  validateAll: z.boolean().default(false),
});

const pictureName = /\.(jpe?g|png|webp)$/i;

interface Folder {
  readonly name: string;
  readonly path: string;
  readonly files: readonly string[];
}

/** A data set of picture files (.jpg, .jpeg, .png, .webp), decoded when they are read. */
export const imageFolder: (options: ImageFolderOptions) => DataSource = partFactory(
  "data",
  "imageFolder",
  schema,
  (options) => {
    const { size, validateAll } = options;
    const path = resolve(options.path);
    return {
      name: "imageFolder",
      options: { path, size, validateAll },
      async load({ log = () => {} }) {
        const roots = await findSplits(path, log);
        const train = await readClasses(roots.train, log);
        const classes = train.map(({ name }) => name);
        if (classes.length < 2) {
          const found = classes.length ? `only the class folder ${classes[0]}` : "no class folder";
          throw new TrainerError(
            "ERR_DATA",
            `${roots.train} has ${found}, expected one folder for each of two or more classes.`,
          );
        }
        const test = roots.test === undefined ? undefined : await readClasses(roots.test, log);
        if (test && roots.test !== undefined) checkTestClasses(classes, test, roots.test);

        const files = [...train, ...(test ?? [])].flatMap((folder) => folder.files);
        const decoder = await openDecoder();
        const bytes = new Map<string, number>();
        const damaged = await findDamaged(files, async (file) => {
          bytes.set(file, (await stat(file)).size);
          await (validateAll ? decoder.decode(file, size) : decoder.checkHeader(file));
        });
        if (damaged.length) throw damagedError(damaged, files.length);
        return {
          classes,
          height: size,
          width: size,
          train: folderSplit(train, classes, size, decoder),
          ...(test && { test: folderSplit(test, classes, size, decoder) }),
          ...imageNetStatistics,
          fingerprint: fingerprintOf(files.map((file) => [relative(path, file), bytes.get(file)!])),
        } satisfies Data;
      },
    };
  },
);

/** Decodes when read. */
function folderSplit(folders: readonly Folder[], classes: readonly string[], size: number, decoder: Decoder): Split {
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
      const pictures = await Promise.all(
        Array.from(indices, async (index): Promise<Picture | undefined> => {
          const file = files[index]!;
          return decoder.decode(file, size).catch((error: Error) => {
            damaged.push({ file, problem: oneLine(error.message) });
            return undefined;
          });
        }),
      );
      if (damaged.length) throw damagedError(damaged, indices.length);
      return pictures as Picture[];
    },
    describe: (index) => files[index]!,
  };
}

/** The folders of the splits below a path. */
async function findSplits(path: string, log: (line: string) => void): Promise<{ train: string; test?: string }> {
  const names = new Set((await foldersIn(path)).map((folder) => folder.name));
  const test = names.has("test") ? "test" : names.has("val") ? "val" : undefined;
  if (names.has("train")) {
    if (names.has("test") && names.has("val")) {
      log(`${join(path, "val")} is not used: test/ is the test split, and validation is held out from train/`);
    }
    return { train: join(path, "train"), ...(test && { test: join(path, test) }) };
  }
  if (test) {
    throw new TrainerError("ERR_DATA", `${path} has ${test}/ but no train/. Expected train/<class>/ beside it.`);
  }
  return { train: path };
}

/** The class folders below a path with their pictures, both in the order of their code points. */
async function readClasses(path: string, log: (line: string) => void): Promise<Folder[]> {
  const folders: Folder[] = [];
  const empty: string[] = [];
  let ignored = 0;
  for (const { name, path: folder } of await foldersIn(path)) {
    const entries = (await list(folder)).filter((entry) => !entry.name.startsWith("."));
    const files = entries.filter((entry) => !entry.isDirectory() && pictureName.test(entry.name));
    ignored += entries.length - files.length;
    if (files.length === 0) empty.push(name);
    folders.push({ name, path: folder, files: files.map((file) => join(folder, file.name)) });
  }
  if (empty.length) {
    throw new TrainerError(
      "ERR_DATA",
      `${path}: no .jpg, .jpeg, .png or .webp file in the class folder${empty.length > 1 ? "s" : ""} ` +
        `${empty.join(", ")}. Fill or remove ${empty.length > 1 ? "them" : "it"}.`,
    );
  }
  if (ignored) log(`${path}: ${ignored} entries in class folders are not pictures by their names and are ignored`);
  return folders;
}

function checkTestClasses(classes: readonly string[], test: readonly Folder[], path: string): void {
  const known = new Set(classes);
  const unknown = test.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  if (test.length === 0 || unknown.length) {
    const problem = unknown.length ? `has classes that train/ lacks: ${unknown.join(", ")}` : "has no class folder";
    throw new TrainerError(
      "ERR_DATA",
      `${path} ${problem}. Expected a folder for some or all of the training classes.`,
    );
  }
}

/** Folders below a path, links to folders too, in the order of their code points. */
async function foldersIn(path: string): Promise<{ name: string; path: string }[]> {
  const folders: { name: string; path: string }[] = [];
  for (const entry of await list(path)) {
    const full = join(path, entry.name);
    if (entry.name.startsWith(".")) continue;
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await isDirectory(full)));
    if (isFolder) folders.push({ name: entry.name, path: full });
  }
  return folders;
}

async function list(path: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    // Bytes of UTF-8 sort as code points do; the plain sort, by UTF-16 units, does not.
    return entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const problem =
      code === "ENOENT" ? "does not exist" : code === "ENOTDIR" ? "is not a folder" : `cannot be read (${code})`;
    throw new TrainerError("ERR_DATA", `${path} ${problem}. Expected a folder of class folders with pictures.`, {
      cause,
    });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Of names and sizes: hashing every byte of a large set at each start would cost minutes. */
function fingerprintOf(files: readonly (readonly [name: string, bytes: number])[]): string {
  const hash = createHash("sha256");
  for (const [name, bytes] of files) hash.update(`${name}\0${bytes}\n`);
  return hash.digest("hex");
}

/**
 * CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version,
 * https://www.cs.toronto.edu/~kriz/cifar.html: from a folder, from the archive as it is published, or
 * downloaded once into the cache.
 *
 * The whole set, 184 MB, is kept in memory as bytes.
 */

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";

import { cacheRoot } from "../backend/cache.js";
import { TrainerError } from "../errors.js";
import { parseOptions } from "../options.js";
import { type Member, readArchive } from "./archive.js";
import { decodeRecords, type LabelByte, side } from "./cifar-records.js";
import type { Data, DataSource, Split } from "./dataset.js";
import { download, type RemoteFile } from "./download.js";
import { memorySplit, type Part } from "./memory.js";

export interface CifarOptions {
  /** A folder with the files of the binary version, one with the archive, or the .tar.gz or .tar itself. */
  path?: string;
  /** Without a path: download the archive into the cache if it is not there. Default: false. */
  download?: boolean;
}

interface Layout {
  readonly name: string;
  readonly title: string;
  /** The folder inside the archive. */
  readonly folder: string;
  readonly archive: string;
  readonly remote: RemoteFile;
  readonly train: readonly string[];
  readonly test: readonly string[];
  /**
   * The label bytes of a record, in order, and the text file with the names of each. The last is the class.
   */
  readonly labelBytes: readonly (LabelByte & { readonly namesFile: string })[];
  readonly mean: Data["mean"];
  readonly deviation: Data["deviation"];
}

/** Pictures in the official splits, shared evenly by the classes. */
const official = { train: 50_000, test: 10_000 };

const cifar10Layout: Layout = {
  name: "cifar10",
  title: "CIFAR-10",
  folder: "cifar-10-batches-bin",
  archive: "cifar-10-binary.tar.gz",
  remote: {
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    bytes: 170_052_171,
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
  },
  train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
  test: ["test_batch.bin"],
  labelBytes: [{ name: "label", classes: 10, namesFile: "batches.meta.txt" }],
  mean: [0.4914, 0.4822, 0.4465],
  deviation: [0.247, 0.2435, 0.2616],
};

const cifar100Layout: Layout = {
  name: "cifar100",
  title: "CIFAR-100",
  folder: "cifar-100-binary",
  archive: "cifar-100-binary.tar.gz",
  remote: {
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    bytes: 168_513_733,
    sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
  },
  train: ["train.bin"],
  test: ["test.bin"],
  labelBytes: [
    { name: "coarse label", classes: 20, namesFile: "coarse_label_names.txt" },
    { name: "fine label", classes: 100, namesFile: "fine_label_names.txt" },
  ],
  mean: [0.5071, 0.4865, 0.4409],
  deviation: [0.2673, 0.2564, 0.2762],
};

/** CIFAR-10: 50,000 and 10,000 pictures of 32 x 32 in 10 classes. */
export function cifar10(options: CifarOptions = {}): DataSource {
  return cifar(cifar10Layout, options);
}

/** CIFAR-100: 50,000 and 10,000 pictures of 32 x 32 in 100 (fine) classes. */
export function cifar100(options: CifarOptions = {}): DataSource {
  return cifar(cifar100Layout, options);
}

const schema = z.strictObject({ path: z.string().min(1).optional(), download: z.boolean().default(false) });

function cifar(layout: Layout, given: CifarOptions): DataSource {
  const { path, download: mayDownload } = parseOptions(`data "${layout.name}"`, schema, given);
  // Absolute, so that a run resumed from another folder finds the same data.
  const options = path === undefined ? { download: mayDownload } : { path: resolve(path) };
  return {
    name: layout.name,
    options,
    async load({ log = () => {} }) {
      const place = options.path === undefined ? await cached(layout, mayDownload, log) : options.path;
      const source = await locate(layout, place);
      const files = [...layout.train, ...layout.test, ...layout.labelBytes.map(({ namesFile }) => namesFile)];
      const members = source.isFolder
        ? await readFolder(source.path, files)
        : await readArchive(source.path, files);
      const missing = files.filter((file) => !members.has(file));
      if (missing.length) {
        throw new TrainerError(
          "ERR_DATA",
          `${source.path} has no ${missing.join(", no ")}. ` +
            `Expected the binary version of ${layout.title} (not the Python or Matlab one): ${files.join(", ")}.`,
        );
      }
      return assemble(layout, source.path, members, log);
    },
  };
}

/** The archive in the cache, downloaded if that is allowed. */
async function cached(layout: Layout, mayDownload: boolean, log: (line: string) => void): Promise<string> {
  const path = join(cacheRoot(), "data", layout.archive);
  if (mayDownload) {
    await download(layout.remote, path, { log });
  } else if (!(await exists(path))) {
    throw new TrainerError(
      "ERR_DATA",
      `${layout.title} is not here: no path was given and ${path} does not exist. Give its folder or archive with ` +
        `--data PATH, or allow the download of ${Math.round(layout.remote.bytes / 1e6)} MB: ` +
        `data: ${layout.name}({ download: true }).`,
    );
  }
  return path;
}

/** The folder of record files or the archive that a path means. */
async function locate(layout: Layout, path: string): Promise<{ path: string; isFolder: boolean }> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === "ENOENT" ? "does not exist" : `cannot be read (${cause.code})`;
    throw new TrainerError(
      "ERR_DATA",
      `${layout.title}: ${path} ${problem}. Give its folder or archive with --data.`,
      {
        cause,
      },
    );
  });
  if (found.isFile()) return { path, isFolder: false };
  if (found.isDirectory()) {
    for (const folder of [path, join(path, layout.folder)]) {
      for (const file of [...layout.train, ...layout.test]) {
        if (await exists(join(folder, file))) return { path: folder, isFolder: true };
      }
    }
    for (const name of [layout.archive, layout.archive.replace(/\.gz$/, "")]) {
      if (await exists(join(path, name))) return { path: join(path, name), isFolder: false };
    }
  }
  throw new TrainerError(
    "ERR_DATA",
    `${layout.title}: ${path} is ${found.isDirectory() ? "a folder without it" : "neither a file nor a folder"}. ` +
      `Expected a folder with ${layout.train[0]}, ${layout.folder}/ or ${layout.archive}, or the archive itself.`,
  );
}

/** The files of a folder that are there, whole. */
async function readFolder(folder: string, names: readonly string[]): Promise<Map<string, Member>> {
  const maxBytes = 400e6;
  const members = new Map<string, Member>();
  for (const name of names) {
    const path = join(folder, name);
    if (!(await exists(path))) continue;
    const found = await stat(path);
    if (!found.isFile() || found.size > maxBytes) {
      const kind = found.isFile()
        ? `has ${found.size} bytes, more than the ${maxBytes} that are read`
        : "is not a file";
      throw new TrainerError("ERR_DATA", `${path} ${kind}. Expected a file of the binary version.`);
    }
    const bytes = await readFile(path).catch((cause: Error) => {
      throw new TrainerError("ERR_IO", `${path} cannot be read: ${cause.message}`, { cause });
    });
    members.set(name, { bytes, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  return members;
}

function assemble(
  layout: Layout,
  path: string,
  members: Map<string, Member>,
  log: (line: string) => void,
): Data {
  const names = layout.labelBytes.map(({ namesFile, classes }) => {
    return readNames(join(path, namesFile), members.get(namesFile)!.bytes, classes);
  });
  const fingerprint = createHash("sha256");
  for (const [name, { sha256 }] of [...members].sort(([a], [b]) => (a < b ? -1 : 1))) {
    fingerprint.update(`${name} ${sha256}\n`);
  }
  const families = familyCheck(layout, names.at(-1)!);
  function readSplit(split: "train" | "test"): Split {
    const parts = layout[split].map((name): Part => {
      const { pixels, labels } = decodeRecords(join(path, name), members.get(name)!.bytes, layout.labelBytes);
      families(join(path, name), labels);
      return { name, pixels, labels: labels.at(-1)! };
    });
    const read = memorySplit(parts, side, side);
    checkHistogram(layout, split, path, read.labels, log);
    return read;
  }
  return {
    classes: names.at(-1)!,
    height: side,
    width: side,
    train: readSplit("train"),
    test: readSplit("test"),
    mean: layout.mean,
    deviation: layout.deviation,
    fingerprint: fingerprint.digest("hex"),
  };
}

function readNames(file: string, bytes: Uint8Array, expected: number): string[] {
  const names = new TextDecoder()
    .decode(bytes)
    .split(/\r?\n/)
    .filter((line) => line !== "");
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (names.length === expected && twice === undefined) return names;
  const found = twice === undefined ? `${names.length} names` : `the name ${JSON.stringify(twice)} twice`;
  throw new TrainerError(
    "ERR_DATA",
    `${file} has ${found}, expected ${expected} different ones, one a line.`,
  );
}

/**
 * Every fine class belongs to one coarse class, in all files: a shifted or swapped label byte breaks that.
 */
function familyCheck(layout: Layout, classes: readonly string[]) {
  const family = new Map<number, { coarse: number; where: string }>();
  return (file: string, labels: readonly Uint16Array[]): void => {
    if (labels.length < 2) return;
    const [coarse, fine] = labels as [Uint16Array, Uint16Array];
    fine.forEach((label, record) => {
      const found = coarse[record]!;
      const known = family.get(label);
      if (known === undefined) {
        family.set(label, { coarse: found, where: `record ${record} of ${file}` });
      } else if (known.coarse !== found) {
        throw new TrainerError(
          "ERR_DATA",
          `${file}: record ${record} puts the fine class ${label} (${classes[label]}) into the coarse class ${found}, ` +
            `and ${known.where} into ${known.coarse}. A label is wrong: fetch ${layout.title} again.`,
        );
      }
    });
  };
}

/** Full-size splits have every class equally often; smaller ones are used for tests, and said to be. */
function checkHistogram(
  layout: Layout,
  split: "train" | "test",
  path: string,
  labels: ArrayLike<number>,
  log: (line: string) => void,
): void {
  const { classes } = layout.labelBytes.at(-1)!;
  const counts = new Array<number>(classes).fill(0);
  for (let n = 0; n < labels.length; n++) counts[labels[n]!]!++;
  if (split === "train" && counts.filter((count) => count > 0).length < 2) {
    throw new TrainerError(
      "ERR_DATA",
      `${path}: all ${labels.length} training pictures have one class, expected more.`,
    );
  }
  if (labels.length !== official[split]) {
    const range = `${Math.min(...counts)} to ${Math.max(...counts)} a class`;
    log(
      `${layout.title} ${split}: ${labels.length} pictures (${range}); the official split has ${official[split]}`,
    );
    return;
  }
  const expected = official[split] / classes;
  const wrong = counts.findIndex((count) => count !== expected);
  if (wrong >= 0) {
    throw new TrainerError(
      "ERR_DATA",
      `${path}: the ${split} split has ${counts[wrong]} pictures of class ${wrong}, expected ${expected} of each. ` +
        `Labels are wrong: fetch ${layout.title} again.`,
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

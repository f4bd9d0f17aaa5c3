/**
 * CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version,
 * https://www.cs.toronto.edu/~kriz/cifar.html: from a folder, from the archive as it is published, or
 * downloaded once into the cache.
 *
 * The whole set, 184 MB, is kept in memory as bytes.
 */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { z } from "zod";

import { type Part, partFactory } from "../parts.js";
import { checkHistogram, familyCheck, official, readNames } from "./cifar-checks.js";
import { type CifarFiles, cachedArchive, type Layout, readFiles } from "./cifar-files.js";
import { decodeRecords, side } from "./cifar-records.js";
import type { Data, DataSource, Split } from "./dataset.js";
import { memorySplit, type PixelBlock } from "./in-memory.js";

export interface CifarOptions {
  /** A folder with the files of the binary version, one with the archive, or the .tar.gz or .tar itself. */
  path?: string;
  /** Without a path: download the archive into the cache if it is not there. Default: false. */
  download?: boolean;
}

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

const schema = z.strictObject({
  path: z.string().min(1).optional().describe("the archive, or a folder with it or its files"),
  download: z.boolean().default(false).describe("without a path: download the archive into the cache"),
});

/** CIFAR-10: 50,000 training and 10,000 test images of 32 × 32 in 10 classes. */
export const cifar10 = cifar(cifar10Layout);

/** CIFAR-100: 50,000 training and 10,000 test images of 32 × 32 in 100 (fine) classes. */
export const cifar100 = cifar(cifar100Layout);

function cifar(layout: Layout): (options?: CifarOptions) => Part<DataSource> {
  return partFactory("data", layout.name, schema, ({ path, download }) => {
    // Absolute, so that a run resumed from another folder finds the same data.
    const options = path === undefined ? { download } : { path: resolve(path) };
    return {
      name: layout.name,
      options,
      async load({ log = () => {} }) {
        const place = options.path ?? (await cachedArchive(layout, download, log));
        return assemble(layout, await readFiles(layout, place), log);
      },
      outline: () => outlineOf(layout),
    };
  });
}

/** The official splits, every class equally often. */
function outlineOf({ labelBytes, mean, deviation }: Layout): Data {
  const { classes } = labelBytes.at(-1)!;
  const black = { pixels: new Uint8Array(3 * side * side), height: side, width: side };
  const split = (length: number): Split => ({
    length,
    labels: Uint16Array.from({ length }, (_, index) => index % classes),
    read: (indices) => Array.from(indices, () => black),
    describe: (index) => `image ${index}`,
  });
  return {
    classes: Array.from({ length: classes }, (_, label) => String(label)),
    height: side,
    width: side,
    train: split(official.train),
    test: split(official.test),
    mean,
    deviation,
    fingerprint: "outline",
  };
}

function assemble(layout: Layout, { path, members }: CifarFiles, log: (line: string) => void): Data {
  const names = layout.labelBytes.map(({ namesFile, classes }) => {
    return readNames(join(path, namesFile), members.get(namesFile)!.bytes, classes);
  });
  const fingerprint = createHash("sha256");
  for (const [name, { sha256 }] of [...members].sort(([a], [b]) => (a < b ? -1 : 1))) {
    fingerprint.update(`${name} ${sha256}\n`);
  }
  const families = familyCheck(layout, names.at(-1)!);
  function readSplit(split: "train" | "test"): Split {
    const parts = layout[split].map((name): PixelBlock => {
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

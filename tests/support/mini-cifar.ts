/** Small sets in CIFAR's binary layout, and archives of them, made by the tests. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { afterAll } from "vitest";

import { stream } from "../../core/rng.js";

/** A folder that is deleted after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "fitloop-data-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The value of a channel of a pixel of a record, different for all neighbours in any direction. */
export function pixelOf(record: number, row: number, column: number, channel: number): number {
  return (record * 7 + row * 31 + column * 3 + channel * 101) & 255;
}

/** Records with these label bytes and pixels of `pixelOf`, stored in planes. */
export function recordFile(labels: readonly (readonly number[])[], firstRecord = 0): Buffer {
  return Buffer.concat(
    labels.map((bytes, place) => {
      const planes = Buffer.alloc(3072);
      for (let channel = 0; channel < 3; channel++) {
        for (let row = 0; row < 32; row++) {
          for (let column = 0; column < 32; column++) {
            planes[channel * 1024 + row * 32 + column] = pixelOf(firstRecord + place, row, column, channel);
          }
        }
      }
      return Buffer.concat([Buffer.from(bytes), planes]);
    }),
  );
}

/** [coarse, fine] with five fine classes in each coarse one. */
export const labelsOf = (fine: number): [number, number] => [Math.floor(fine / 5), fine];

export type Files = Record<string, Buffer>;

const nameList = (prefix: string, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, at) => `${prefix}_${at}\n`).join(""));

/** The files of a CIFAR-100 of 100 + 10 images. */
export function miniCifar100(): Files {
  return {
    "coarse_label_names.txt": nameList("coarse", 20),
    "fine_label_names.txt": nameList("fine", 100),
    "test.bin": recordFile(
      Array.from({ length: 10 }, (_, at) => labelsOf(at * 10)),
      1000,
    ),
    "train.bin": recordFile(Array.from({ length: 100 }, (_, at) => labelsOf((at * 37) % 100))),
  };
}

/** The files of a CIFAR-10 of 5 x 4 + 10 images. */
export function miniCifar10(): Files {
  const batches = [1, 2, 3, 4, 5].map((batch): [string, Buffer] => {
    const labels = [0, 1, 2, 3].map((at) => [(batch * 4 + at) % 10]);
    return [`data_batch_${batch}.bin`, recordFile(labels, batch * 100)];
  });
  return {
    "batches.meta.txt": Buffer.concat([nameList("class", 10), Buffer.from("\n")]),
    ...Object.fromEntries(batches),
    "test_batch.bin": recordFile(
      Array.from({ length: 10 }, (_, at) => [at]),
      1000,
    ),
  };
}

type Entry = Parameters<ReturnType<typeof pack>["entry"]>[0] & { content?: Buffer };

/** Bytes that do not compress. */
export function noise(length: number): Buffer {
  const draws = stream(1, "test/noise");
  return Buffer.from(Uint8Array.from({ length }, () => draws.int(256)));
}

/** A tar of these entries, the same bytes at any time. */
export async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    if (content) tar.entry({ mtime: new Date(0), ...header }, content);
    else tar.entry({ mtime: new Date(0), ...header });
  }
  tar.finalize();
  return buffer(tar as unknown as AsyncIterable<Uint8Array> & NodeJS.ReadableStream);
}

/** A tar of files in a folder, as CIFAR is published. */
export function tarOfFiles(files: Files, folder = "cifar-100-binary"): Promise<Buffer> {
  const members = Object.entries(files).map(([name, content]) => ({ name: `${folder}/${name}`, content }));
  return tarOf([{ name: `${folder}/`, type: "directory" }, ...members]);
}

export const gzip = (bytes: Buffer): Buffer => gzipSync(bytes, { level: 1 });

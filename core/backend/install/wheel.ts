/** Reads a wheel (a zip file): its own record of checksums, and a few files out of it, streaming. */

import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { type Entry, openPromise, type ZipFile } from "yauzl";

import { TrainerError } from "../../errors.js";

/** A file out of a wheel. */
export interface ExtractedFile {
  /** Its name in the wheel. */
  path: string;
  bytes: number;
  /** SHA-256 as hex. */
  sha256: string;
}

/**
 * Extracts the files whose names `wanted` accepts, below `directory` under their names in the wheel, and holds each
 * against the SHA-256 that the wheel's own RECORD states: a wheel without a pinned hash is checked at least for damage.
 *
 * Nothing is held in memory but the list of names; the larger library has 788 MB.
 *
 * @throws TrainerError ERR_DOWNLOAD for a wheel that is damaged or contradicts its record
 */
export async function extractWheel(
  wheel: string,
  directory: string,
  wanted: (name: string) => boolean,
  signal?: AbortSignal,
): Promise<ExtractedFile[]> {
  const zip = await open(wheel);
  try {
    const entries = await readEntries(zip, wanted);
    const record = await readRecord(zip, entries);
    const files: ExtractedFile[] = [];
    for (const entry of entries.filter((entry) => wanted(entry.fileName))) {
      const file = await extractEntry(zip, entry, directory, signal);
      const stated = record.get(file.path);
      if (stated !== file.sha256) {
        const says = stated === undefined ? "does not list it" : `says ${stated}`;
        throw new TrainerError(
          "ERR_DOWNLOAD",
          `${file.path} in ${wheel} has the SHA-256 ${file.sha256}, and its own record ${says}. Fetch it again.`,
        );
      }
      files.push(file);
    }
    return files;
  } catch (cause) {
    signal?.throwIfAborted();
    // What the system refuses, a full disk say, is not the wheel's fault.
    if (cause instanceof TrainerError || (cause as NodeJS.ErrnoException).syscall !== undefined) throw cause;
    throw new TrainerError("ERR_DOWNLOAD", `${wheel} is damaged: ${(cause as Error).message}. Fetch it again.`, {
      cause,
    });
  } finally {
    zip.close();
  }
}

async function open(wheel: string): Promise<ZipFile> {
  try {
    return await openPromise(wheel, { autoClose: false });
  } catch (cause) {
    const size = await stat(wheel).then(
      ({ size }) => `${size} bytes`,
      () => "not readable",
    );
    throw new TrainerError("ERR_DOWNLOAD", `${wheel} (${size}) is not a whole zip file. Fetch it again.`, { cause });
  }
}

function isInfo(path: string, name: string): boolean {
  return path.endsWith(`.dist-info/${name}`);
}

async function readEntries(zip: ZipFile, wanted: (name: string) => boolean): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of zip.eachEntry()) {
    if (wanted(entry.fileName) || isInfo(entry.fileName, "RECORD")) entries.push(entry);
  }
  return entries;
}

/** The wheel's RECORD, `path,sha256=<base64url>,bytes` a line: path -> SHA-256 as hex. */
async function readRecord(zip: ZipFile, entries: readonly Entry[]): Promise<Map<string, string>> {
  const record = new Map<string, string>();
  const entry = entries.find(({ fileName }) => isInfo(fileName, "RECORD"));
  if (!entry) return record;
  for (const line of (await text(await zip.openReadStreamPromise(entry))).split("\n")) {
    const match = /^([^,"]+),sha256=([\w-]+),/.exec(line);
    if (match) record.set(match[1]!, Buffer.from(match[2]!, "base64url").toString("hex"));
  }
  return record;
}

async function extractEntry(
  zip: ZipFile,
  entry: Entry,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<ExtractedFile> {
  const target = join(directory, entry.fileName);
  await mkdir(dirname(target), { recursive: true });
  const hash = createHash("sha256");
  const tap = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  // `flush` makes the bytes survive a power cut that the later rename survives.
  const out = createWriteStream(target, { flush: true, flags: "wx" });
  await pipeline(await zip.openReadStreamPromise(entry), tap, out, { signal });
  return { path: entry.fileName, bytes: entry.uncompressedSize, sha256: hash.digest("hex") };
}

/**
 * Reading a few named files out of a .tar or .tar.gz, into memory, without extracting anything.
 *
 * An archive is somebody else's data: nothing in it becomes a path, a link or a file here. Members whose
 * names are not expected are skipped; an expected one that is not a plain file, comes twice or is too
 * large is refused, and so is an archive of more entries or bytes than any data set of this kind has. These
 * caps bound time and memory even for a gzip bomb.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";

import { TrainerError } from "../errors.js";

/** A file of a data set, whole in memory. */
export interface Member {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, as hex. */
  readonly sha256: string;
}

export interface ArchiveLimits {
  /** Of the archive and of what it unpacks to. Default: 400 MB; CIFAR has 184 MB. */
  bytes?: number;
  /** Default: 64; CIFAR has 8. */
  entries?: number;
}

const blockSize = 512;

/**
 * Reads the members with these names, at the top of the archive or in one folder. Costs their size in memory.
 *
 * @returns name -> content, only of the names that were found
 * @throws TrainerError ERR_DATA for an archive that is cut short, damaged, hostile or none at all
 */
export async function readArchive(
  path: string,
  names: readonly string[],
  { bytes: maxBytes = 400e6, entries: maxEntries = 64 }: ArchiveLimits = {},
): Promise<Map<string, Member>> {
  const { size } = await stat(path);
  if (size > maxBytes) throw refuse(path, `it has ${size} bytes, more than the ${maxBytes} that are read`);
  const gzipped = await sniff(path, size);

  const members = new Map<string, Member>();
  const wanted = new Set(names);
  let entries = 0;
  let reading = "its first entry";
  let unpacked = 0;
  let endOfEntries = 0;

  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      unpacked += chunk.length;
      if (unpacked <= maxBytes) done(null, chunk);
      else done(refuse(path, `it unpacks to more than the ${maxBytes} bytes that are read`));
    },
  });

  const tar = extract();
  tar.on("entry", (header, stream, next) => {
    const { byteOffset } = header as typeof header & { byteOffset: number };
    const size = header.type === "directory" ? 0 : header.size;
    endOfEntries = byteOffset + Math.ceil(size / blockSize) * blockSize;
    stream.on("error", () => {}); // the pipeline reports it
    reading = JSON.stringify(header.name.slice(0, 100));
    if (++entries > maxEntries) {
      next(refuse(path, `it has more than ${maxEntries} entries`));
      return;
    }
    // The parser takes a size it does not understand for null, and would wait for the end for ever.
    if (!Number.isSafeInteger(header.size)) {
      next(refuse(path, `it is damaged at ${reading}, whose size is not a number`));
      return;
    }
    const name = memberName(header.name);
    if (name === undefined || !wanted.has(name)) {
      stream.resume();
      // The parser never ends the stream of a folder that claims a size.
      if (header.type === "directory") next();
      else stream.on("end", next);
      return;
    }
    const problem =
      header.type !== "file" && header.type !== "contiguous-file"
        ? `${header.name} in it is a ${header.type}, expected a plain file`
        : members.has(name)
          ? `${name} is in it twice`
          : size > maxBytes
            ? `${header.name} in it claims ${size} bytes, more than the ${maxBytes} that are read`
            : undefined;
    if (problem) {
      next(refuse(path, problem));
      return;
    }
    const bytes = new Uint8Array(size);
    const hash = createHash("sha256");
    let filled = 0;
    stream.on("data", (data) => {
      const chunk = data as Uint8Array;
      bytes.set(chunk, filled);
      hash.update(chunk);
      filled += chunk.length;
    });
    stream.on("end", () => {
      members.set(name, { bytes, sha256: hash.digest("hex") });
      next();
    });
  });

  try {
    const source = createReadStream(path, { highWaterMark: 1 << 18 });
    if (gzipped) await pipeline(source, createGunzip({ chunkSize: 1 << 16 }), meter, tar);
    else await pipeline(source, meter, tar);
  } catch (cause) {
    if (cause instanceof TrainerError) throw cause;
    const { message, code } = cause as NodeJS.ErrnoException;
    if (code !== undefined && /^E[A-Z]+$/.test(code)) {
      throw new TrainerError("ERR_IO", `${path} cannot be read: ${message}`, { cause });
    }
    const cut = code === "Z_BUF_ERROR" || /unexpected end/i.test(message);
    throw refuse(
      path,
      `it is ${cut ? "cut short" : "damaged"} at ${reading}, ${unpacked} bytes in (${message})`,
      cause,
    );
  }
  // A tar ends with two zero blocks. Without this check a cut between two members would look like a whole
  // archive.
  if (unpacked < endOfEntries + 2 * blockSize) {
    throw refuse(path, `it is cut short after ${reading}: its end mark of ${2 * blockSize} zero bytes is missing`);
  }
  return members;
}

/** "folder/file" and "./file" -> "file"; undefined for every other shape, which is nothing we asked for. */
function memberName(name: string): string | undefined {
  return /^(?:\.\/)?(?:(?!\.\.?\/)[^/\\\0]+\/)?([^/\\\0]+)$/.exec(name)?.[1];
}

/**
 * Whether the file is gzip; an error if it is neither gzip nor tar. Names lie, and servers send web pages.
 */
async function sniff(path: string, size: number): Promise<boolean> {
  const file = await open(path);
  try {
    const head = Buffer.alloc(blockSize);
    await file.read(head, 0, blockSize, 0);
    if (head[0] === 0x1f && head[1] === 0x8b) return true;
    if (head.toString("latin1", 257, 262) === "ustar") return false;
    const kind = /^\s*</.test(head.toString("latin1")) ? " It looks like a web page." : "";
    const found = size === 0 ? "it is empty" : `it begins with ${JSON.stringify(head.toString("latin1", 0, 16))}`;
    throw refuse(path, `${found}, which is neither a gzip nor a tar file.${kind}`);
  } finally {
    await file.close();
  }
}

function refuse(path: string, problem: string, cause?: unknown): TrainerError {
  const advice = "Fetch the archive again, or give another one with --data.";
  return new TrainerError("ERR_DATA", `${path}: ${problem.replace(/\.?$/, ".")} ${advice}`, { cause });
}

/** Writing files so that what is there under its name is whole, also after a crash or a full disk. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { TrainerError } from "./errors.js";

/** What file access asks of the system; tests put a failing or a recording one in its place. */
export const system = {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
};

/** Writes all of `bytes`, however little each call takes. */
export function writeAll(file: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length; ) {
    const taken = system.writeSync(file, bytes, offset, bytes.length - offset);
    if (taken === 0) throw new Error(`the system takes no more than ${offset} of ${bytes.length} bytes`);
    offset += taken;
  }
}

/** A file's text or bytes; in pieces where it may be large, with their length if it is known. */
export type Content = string | Uint8Array | (Iterable<Uint8Array> & { readonly length?: number });

const pieces = (content: Content): Iterable<Uint8Array> =>
  typeof content === "string" ? [Buffer.from(content)] : content instanceof Uint8Array ? [content] : content;

/**
 * Writes a new file, flushes it and checks its size. What is in it then survives power loss; its name does so
 * once its folder is flushed too. "wx": nothing that is there already is written to, nor what a link points to.
 */
export function writeFlushed(path: string, content: Content): void {
  const file = system.openSync(path, "wx");
  try {
    let length = 0;
    for (const bytes of pieces(content)) {
      writeAll(file, bytes);
      length += bytes.length;
    }
    system.fsyncSync(file);
    const { size } = system.fstatSync(file);
    if (size !== length) throw new Error(`${size} of ${length} bytes were written`);
  } finally {
    system.closeSync(file);
  }
}

/** What `writeFileAtomic` calls a file until it is whole: a new name each time, which cannot be in use already. */
const unfinishedName = (path: string): string => {
  const nonce = randomBytes(6).toString("hex");
  return `.tmp-${process.pid}-${nonce}-${basename(path)}`;
};
const isUnfinished = (name: string): boolean => /^\.tmp-\d+-./.test(name);

/**
 * Writes a file under a temporary name, flushes it, checks its size, and renames it into place.
 *
 * @param advice the last sentence of a failure
 * @throws TrainerError ERR_IO with the path; what was there before is then still there
 */
export function writeFileAtomic(path: string, content: Content, advice?: string): void {
  const folder = dirname(path);
  const temporary = join(folder, unfinishedName(path));
  try {
    writeFlushed(temporary, content);
    system.renameSync(temporary, path);
    flushFolder(folder);
  } catch (cause) {
    removeQuietly(temporary);
    const bytes =
      typeof content === "string" ? Buffer.byteLength(content) : "length" in content ? content.length : undefined;
    throw ioError(`Writing ${path}`, cause, bytes === undefined ? undefined : { bytes, folder }, advice);
  }
}

/** Removes a file if it can: where its folder is gone or read-only, why the write failed is what the user must read. */
export function removeQuietly(path: string): void {
  try {
    system.rmSync(path, { force: true });
  } catch {
    // as the description says
  }
}

/**
 * All bytes of a file.
 *
 * @param most bytes that it may have
 * @throws TrainerError ERR_IO for what is not there or cannot be read; ERR_DATA for what is no file of that size: a
 *   pipe would wait for its writer, and a device never ends
 */
export function readWhole(path: string, { most }: { most: number }): Buffer {
  try {
    const file = system.openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = system.fstatSync(file);
      const what = found.isFile() ? `${found.size} bytes` : found.isDirectory() ? "a folder" : "a pipe or a device";
      if (!found.isFile() || found.size > most) {
        throw new TrainerError("ERR_DATA", `${path}: expected a file of at most ${most} bytes, got ${what}.`);
      }
      return system.readFileSync(file);
    } finally {
      system.closeSync(file);
    }
  } catch (cause) {
    if (cause instanceof TrainerError) throw cause;
    throw new TrainerError("ERR_IO", `${path} cannot be read: ${(cause as Error).message}.`, { cause });
  }
}

/** Files that `writeFileAtomic` was killed over, by whichever process. */
export const unfinishedFiles = (folder: string): string[] => system.readdirSync(folder).filter(isUnfinished);

/**
 * Creates a folder and those above it, where they are missing. `mkdir` with `recursive` never returns where the system
 * answers "no such file" for a new folder in an existing one, as /proc does.
 */
export function makeFolders(path: string): void {
  if (isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path && !existsSync(parent)) makeFolders(parent);
  try {
    system.mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !isFolder(path)) throw error;
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** What was created, renamed or removed in a folder survives power loss once the folder is flushed. */
export function flushFolder(path: string): void {
  const folder = system.openSync(path, "r");
  try {
    system.fsyncSync(folder);
  } finally {
    system.closeSync(folder);
  }
}

const shortages: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota on the disk is used up",
  EFBIG: "the file is larger than this process may write",
};

/**
 * An I/O failure as one message: what, why, how much room it needed and how much there is.
 *
 * @param room bytes that were to be written, and the folder whose disk is asked for what is free
 */
export function ioError(
  what: string,
  cause: unknown,
  room?: { readonly bytes: number; readonly folder: string },
  advice = "Make room or choose another folder with --out.",
): TrainerError {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const needed = room === undefined ? "" : ` It needed ${room.bytes} bytes${freeBytes(room.folder)}.`;
  return new TrainerError("ERR_IO", `${what} failed: ${shortages[code] ?? message}.${needed} ${advice}`, { cause });
}

/** Part of a sentence; empty if the system does not report it, since another failure is being reported. */
function freeBytes(folder: string): string {
  try {
    const { bavail, bsize } = system.statfsSync(folder);
    return `, and ${bavail * bsize} are free`;
  } catch {
    return "";
  }
}

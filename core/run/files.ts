/** Writing files so that what is there under its name is whole, also after a crash or a full disk. */
import { closeSync, fstatSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { TrainerError } from "../errors.js";

/** What file access asks of the system; tests put a failing one in its place. */
export const system = { openSync, writeSync, fsyncSync, fstatSync, closeSync, renameSync, rmSync };

/** Writes all of `bytes`, however little each call takes. */
export function writeAll(file: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;)
    offset += system.writeSync(file, bytes, offset, bytes.length - offset);
}

/**
 * Writes a file under a temporary name, flushes it, checks its size, and renames it into place.
 *
 * @throws TrainerError ERR_IO with the path; what was there before is then still there
 */
export function writeFileAtomic(path: string, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const temporary = join(dirname(path), `.tmp-${process.pid}-${basename(path)}`);
  try {
    const file = system.openSync(temporary, "w");
    try {
      writeAll(file, bytes);
      system.fsyncSync(file);
      const { size } = system.fstatSync(file);
      if (size !== bytes.length) throw new Error(`${size} of ${bytes.length} bytes were written`);
    } finally {
      system.closeSync(file);
    }
    system.renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (cause) {
    system.rmSync(temporary, { force: true });
    throw ioError(`Writing ${path}`, cause, bytes.length);
  }
}

/** A rename survives power loss once the folder is flushed. */
function syncFolder(path: string): void {
  const folder = system.openSync(path, "r");
  try {
    system.fsyncSync(folder);
  } finally {
    system.closeSync(folder);
  }
}

/** An I/O failure as one message: what, why, and how much room it needed. */
export function ioError(what: string, cause: unknown, bytes?: number): TrainerError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code === "ENOSPC" ? "the disk is full" : message;
  const need = bytes === undefined ? "" : ` It needed ${bytes} bytes.`;
  return new TrainerError(
    "ERR_IO",
    `${what} failed: ${why}.${need} Make room or choose another folder with --out.`,
    {
      cause,
    },
  );
}

/** A file of records that grows at its end, and goes back to where a resumed run goes on. */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** A place in a file: what a checkpoint keeps. */
export interface LogPlace {
  readonly name: string;
  readonly bytes: number;
}

export interface LogFile {
  readonly place: LogPlace;
  /** @throws what the system refuses; nothing of these bytes is then in the file */
  append(bytes: Uint8Array): void;
  /** Takes back what was appended since. */
  backTo(place: LogPlace): void;
  close(): void;
}

export interface LogFormat {
  /** Of a new file. */
  readonly name: string;
  readonly head: Uint8Array;
  /** Of files that this format's reader would read. */
  readonly pattern: RegExp;
  /** Length of the whole records among these bytes. */
  whole(bytes: Buffer): number;
}

/**
 * Goes on with the file that a checkpoint names, cut back to what it had then; without one begins a new file, and takes
 * away those of a run that came to no checkpoint: the viewers would show both.
 */
export function openLog(folder: string, { name, head, pattern, whole }: LogFormat, from?: LogPlace): LogFile {
  mkdirSync(folder, { recursive: true });
  const known = from && existsSync(join(folder, from.name)) ? from : undefined;
  for (const other of readdirSync(folder)) {
    if (pattern.test(other) && other !== known?.name) rmSync(join(folder, other));
  }
  const path = join(folder, known?.name ?? name);
  let bytes = known ? whole(readFileSync(path).subarray(0, known.bytes)) : 0;
  const file = openSync(path, "a");
  ftruncateSync(file, bytes);
  const log: LogFile = {
    get place() {
      return { name: known?.name ?? name, bytes };
    },
    append(record) {
      try {
        for (let done = 0; done < record.length; ) done += writeSync(file, record, done);
        bytes += record.length;
      } catch (cause) {
        // Part of a record would spoil the whole file for its reader.
        if (fstatSync(file).size > bytes) ftruncateSync(file, bytes);
        throw cause;
      }
    },
    backTo(place) {
      ftruncateSync(file, place.bytes);
      bytes = place.bytes;
    },
    close: () => closeSync(file),
  };
  if (bytes === 0) log.append(head);
  return log;
}

/** An append-only file of records, which a resumed run cuts back to its checkpoint. */
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

/** A file and its length, as a checkpoint stores it. */
export interface LogPlace {
  readonly name: string;
  readonly bytes: number;
}

export interface LogFile {
  readonly place: LogPlace;
  /** @throws a system error; the file then holds none of these bytes */
  append(bytes: Uint8Array): void;
  /** Removes what was appended since. */
  backTo(place: LogPlace): void;
  close(): void;
}

export interface LogFormat {
  /** Name of a new file. */
  readonly name: string;
  readonly head: Uint8Array;
  /** Matches the files that a reader of this format opens. */
  readonly pattern: RegExp;
  /** Length of the complete records in these bytes. */
  whole(bytes: Buffer): number;
}

/**
 * Continues the file that a checkpoint names, cut back to its length then. Otherwise starts a new file and removes those of
 * a run without a checkpoint: the viewers would show both.
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
        // A partial record would make the whole file unreadable.
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

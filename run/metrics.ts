/**
 * A run's metrics: one line of JSON for each event, with a checksum of its own.
 *
 * A line's last field, `"crc":"…"`, is the CRC-32 (zlib's, in eight hexadecimal digits) of its UTF-8 text
 * without that field. gzip computes the same one, so by hand, for line 7:
 *
 *     sed -n 7p metrics.jsonl | sed 's/,"crc":"........"}$/}/' | tr -d '\n' |
 *       gzip | tail -c 8 | od -An -tx4 -N4
 *
 * A line counts once its newline is there and the checksum fits. Of a file counts what lies before the first
 * line that does not.
 */
import { constants, copyFileSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 as checksumOf } from "../core/crc32.js";
import { TrainerError } from "../core/errors.js";
import { flushFolder, ioError, system, writeAll } from "../core/files.js";
import { toJson } from "./json.js";

/** What `append` was given, without the checksum. NaN and infinities are text. */
export interface MetricsLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface MetricsLog {
  /** Length of the file in bytes: what a checkpoint keeps and `from` goes back to. */
  readonly bytes: number;
  /** Bytes that were cut off at opening. */
  readonly dropped: number;
  /** What was found wrong at opening, in sentences. What was dropped because of `from` is nothing wrong. */
  readonly problem?: string;
  /**
   * @throws TrainerError ERR_IO; what has been written of the line is taken back before the next one
   * @throws TrainerError ERR_PLUGIN for an event of more than `maxLineBytes`
   */
  append(event: string, value: object): void;
  /** Takes back what was appended beyond `bytes`, an earlier length. @throws TrainerError ERR_IO */
  cut(bytes: number): void;
  /**
   * What has been appended survives power loss from here on.
   *
   * @throws TrainerError ERR_IO, and again at every later call: what one flush has lost no other brings back
   */
  sync(): void;
  close(): void;
}

/** Of one line, its newline included: what a reader holds in memory at most. */
export const maxLineBytes = 1 << 24;

/**
 * Opens a run's metrics to append to them, and makes the file where there is none. It is cut back to the
 * lines that count; of a damaged file, which loses more by that than a line that breaks off, a copy goes to
 * `<path>.damaged` before.
 *
 * @param from cut it back to this many bytes: `bytes` of the point from which the run resumes. So each step
 *   occurs once, however often a run is interrupted
 * @throws TrainerError ERR_IO
 */
export function openMetrics(path: string, { from }: { from?: number } = {}): MetricsLog {
  let file: number | undefined;
  try {
    file = system.openSync(path, "a+");
    flushFolder(dirname(path)); // `sync` is worth nothing for a file whose name is lost
    const { size } = system.fstatSync(file);
    const { end, problem, damaged } = walk(file, Math.min(size, from ?? size));
    const problems = problem === undefined ? [] : [`${path}: ${problem}.`];
    if (damaged) {
      copyFileSync(path, `${path}.damaged`);
      problems.push(`What it held before it was cut back is in ${path}.damaged.`);
    }
    if (from !== undefined && end < from) {
      problems.push(`${path} should have ${from} bytes here and has ${end}: some steps are missing.`);
    }
    if (end < size) system.ftruncateSync(file, end);
    return metricsLog(path, file, end, { dropped: size - end, problem: problems.join(" ") || undefined });
  } catch (cause) {
    if (file !== undefined) system.closeSync(file);
    throw ioError(`Opening ${path}`, cause);
  }
}

function metricsLog(
  path: string,
  file: number,
  length: number,
  opened: Pick<MetricsLog, "dropped" | "problem">,
): MetricsLog {
  let bytes = length;
  let torn = false; // there may be part of a line behind `bytes`
  let flushFailure: TrainerError | undefined;
  let closed = false;
  return {
    ...opened,
    get bytes() {
      return bytes;
    },
    append(event, value) {
      const line = encodeLine(event, value);
      try {
        if (torn) system.ftruncateSync(file, bytes);
        torn = true;
        writeAll(file, line);
        torn = false;
        bytes += line.length;
      } catch (cause) {
        throw ioError(`Writing ${path}`, cause, { bytes: line.length, folder: dirname(path) });
      }
    },
    cut(to) {
      try {
        system.ftruncateSync(file, to);
        bytes = to;
        torn = false;
      } catch (cause) {
        throw ioError(`Cutting ${path}`, cause);
      }
    },
    sync() {
      if (flushFailure) throw flushFailure;
      try {
        system.fsyncSync(file);
      } catch (cause) {
        throw (flushFailure = ioError(`Flushing ${path}`, cause));
      }
    },
    close() {
      if (!closed) system.closeSync(file);
      closed = true;
    },
  };
}

/** The lines of a file that count, also of one that is being written, is damaged or is not there. */
export function readMetrics(path: string): { lines: MetricsLine[]; problem?: string } {
  const lines: MetricsLine[] = [];
  const problem = visitMetrics(path, (line) => lines.push(line));
  return { lines, problem };
}

/**
 * As `readMetrics`, line by line: a run of millions of steps need not be in memory at once.
 *
 * @returns why there are no more lines, as a sentence; nothing where the file ends with one
 */
export function visitMetrics(path: string, visit: (line: MetricsLine) => void): string | undefined {
  let file: number | undefined;
  try {
    // A pipe would keep us waiting for whoever writes into it, and a device may never end.
    file = system.openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!system.fstatSync(file).isFile()) return `${path} is a folder, a pipe or a device. Expected a file.`;
    const { problem } = walk(file, Number.POSITIVE_INFINITY, visit);
    return problem && `${path}: ${problem}.`;
  } catch (error) {
    return `${path} cannot be read: ${(error as Error).message}.`;
  } finally {
    if (file !== undefined) system.closeSync(file);
  }
}

interface Walk {
  /** Of the lines that count. */
  readonly end: number;
  /** Why there are no more. */
  readonly problem?: string;
  /** It is more than a last line that breaks off, as in every file that is just being written. */
  readonly damaged?: boolean;
}

const newline = 0x0a;

/** Visits the lines that count among the first `until` bytes. */
function walk(file: number, until: number, visit?: (line: MetricsLine) => void): Walk {
  let buffer = Buffer.alloc(1 << 16);
  let filled = 0;
  let end = 0; // what the buffer begins with
  for (let number = 1; ; ) {
    if (filled === maxLineBytes) {
      return { end, problem: `line ${number} is longer than ${maxLineBytes} bytes`, damaged: true };
    }
    if (filled === buffer.length) buffer = Buffer.concat([buffer], 2 * filled);
    const room = Math.min(buffer.length - filled, until - end - filled);
    const got = system.readSync(file, buffer, filled, room, end + filled);
    if (got === 0 && filled > 0) return { end, problem: `line ${number} breaks off after ${filled} bytes` };
    if (got === 0) return { end };
    const bytes = buffer.subarray(0, filled + got);
    let start = 0;
    for (let at = bytes.indexOf(newline, filled); at >= 0; at = bytes.indexOf(newline, start)) {
      const line = decodeLine(bytes.subarray(start, at));
      if (typeof line === "string") return { end, problem: `line ${number} ${line}`, damaged: true };
      visit?.(line);
      end += at + 1 - start;
      start = at + 1;
      number++;
    }
    bytes.copyWithin(0, start);
    filled = bytes.length - start;
  }
}

function encodeLine(event: string, value: object): Buffer {
  const text = toJson({ event, ...value });
  const line = Buffer.from(`${text.slice(0, -1)},"crc":"${crc32(Buffer.from(text))}"}\n`);
  if (line.length <= maxLineBytes) return line;
  throw new TrainerError(
    "ERR_PLUGIN",
    `Event "${event}" makes a line of ${line.length} bytes, expected at most ${maxLineBytes}. ` +
      "Write so large a value to a file of its own.",
  );
}

const checksum = /,"crc":"([0-9a-f]{8})"}$/;
const checksumBytes = ',"crc":"00000000"}'.length;

/** A line without its newline; the end of a sentence about it if it does not count. */
function decodeLine(line: Buffer): MetricsLine | string {
  const stated = checksum.exec(line.toString("latin1", Math.max(0, line.length - checksumBytes)))?.[1];
  if (stated === undefined) return "has no checksum";
  const text = Buffer.concat([line.subarray(0, -checksumBytes), Buffer.from("}")]);
  const found = crc32(text);
  if (found !== stated) return `has the checksum ${stated} and a text whose checksum is ${found}`;
  try {
    const value = JSON.parse(text.toString()) as MetricsLine;
    if (typeof value.event === "string") return value;
  } catch {
    // as any other that this module has not written
  }
  return "is no event";
}

/** Eight hexadecimal digits. */
const crc32 = (bytes: Uint8Array): string => checksumOf(bytes).toString(16).padStart(8, "0");

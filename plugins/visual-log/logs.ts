/** The log files of a run, one for each format: written together, and cut back together when the run resumes. */
import { hostname } from "node:os";
import { join } from "node:path";
import type { FitContext } from "../../core/index.js";
import type { Entry } from "./entries.js";
import { type LogFile, type LogFormat, type LogPlace, openLog } from "./file.js";
import { tensorBoardHead, tensorBoardName, tensorBoardRecords, wholeTensorBoard } from "./tensorboard.js";
import { visualDlHead, visualDlName, visualDlRecord, wholeVisualDl } from "./visualdl.js";

export const formats = ["visualdl", "tensorboard"] as const;
export type Format = (typeof formats)[number];

const seconds = (): number => Date.now() / 1000;

const formatOf: Record<Format, () => LogFormat> = {
  visualdl: () => ({
    name: visualDlName(seconds()),
    head: visualDlHead(Date.now()),
    pattern: /^vdlrecords\./,
    whole: wholeVisualDl,
  }),
  tensorboard: () => ({
    name: tensorBoardName(seconds(), hostname().replaceAll(/[^\w-]/g, "-"), process.pid),
    head: tensorBoardHead(seconds()),
    pattern: /^events\.out\.tfevents\./,
    whole: wholeTensorBoard,
  }),
};

const encoded: Record<Format, (entry: Entry) => Uint8Array> = {
  visualdl: (entry) => visualDlRecord(entry, Date.now()),
  tensorboard: (entry) => tensorBoardRecords(entry, seconds()),
};

/** What a checkpoint stores of the logs. */
export interface Saved {
  readonly places: Partial<Record<Format, LogPlace>>;
  /** Tags of the scalars that runs are compared by. */
  readonly metrics: readonly string[];
}

/** @param warn receives one message for each file that is shorter than its checkpoint says */
export function createLogs(chosen: readonly Format[], warn: (message: string) => void) {
  const files = new Map<Format, LogFile>();
  const metrics = new Set<string>();
  let run: FitContext | undefined;
  let resumed: Saved | undefined; // until the files are open
  let lost: Saved | undefined; // the last complete place of each file when one failed
  let failure: unknown; // of `guarded`

  const current = (): Saved => ({
    places: Object.fromEntries([...files].map(([format, file]) => [format, file.place])),
    metrics: [...metrics],
  });
  const close = (): void => {
    for (const file of files.values()) file.close();
    files.clear();
  };
  /** For a listener, which must not throw: a failure closes the files, and `mustWork` throws it in the next tap. */
  const guarded = (write: () => void): void => {
    if (failure !== undefined || files.size === 0) return;
    try {
      write();
    } catch (cause) {
      failure = cause;
      lost = current(); // a resumed run continues from there
      close();
    }
  };

  return {
    metrics,
    guarded,
    close,
    /** Not in a run without a folder, nor after a failure. */
    isOpen: (format?: Format): boolean => (format ? files.has(format) : files.size > 0),
    /** Of the run. @throws where the run has lost it */
    folder: (): string => run!.folder!,
    mustWork(): void {
      if (failure !== undefined) throw failure;
    },

    /** Continues the files of a checkpoint, or starts new ones. @returns whether it continues */
    open(started: FitContext): boolean {
      run = started;
      for (const format of chosen) {
        const place = resumed?.places[format];
        const file = openLog(join(started.folder!, format), formatOf[format](), place);
        files.set(format, file);
        if (place && file.place.bytes < place.bytes) {
          const got = `expected ${place.bytes} bytes of log from before, got ${file.place.bytes}`;
          warn(`${place.name}: ${got}. Part of the log is missing.`);
        }
      }
      for (const tag of resumed?.metrics ?? []) metrics.add(tag);
      const continues = resumed !== undefined;
      resumed = undefined;
      return continues;
    },

    write(...entries: readonly Entry[]): void {
      if (run?.folder === undefined) return; // throws where the run has lost its folder
      for (const entry of entries) for (const [format, file] of files) file.append(encoded[format](entry));
    },

    save: (): Saved => resumed ?? lost ?? current(),

    /** Before the run begins: what `open` continues. During it, after a skipped step or a rollback: removes later entries. */
    load(saved: Saved): void {
      if (files.size === 0) return void (resumed = saved);
      guarded(() => {
        for (const [format, file] of files) file.backTo(saved.places[format]!);
        metrics.clear();
        for (const tag of saved.metrics) metrics.add(tag);
      });
    },
  };
}

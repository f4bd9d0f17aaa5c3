/**
 * A whole run: the bare loop with its folder, lock, record, checkpoints and resume. The command line and the package's entry
 * call this, and hand in the parts that only watch: report and progress.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Emitter } from "mitt";
import { configRecord, type TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { ioError } from "../core/files.js";
import type { Events } from "../core/loop/events.js";
import type { Plugin } from "../core/loop/plugin.js";
import { Trainer } from "../core/loop/trainer.js";
import { configHash } from "./changes.js";
import { createCheckpointWriter, fromCheckpoint } from "./checkpoint-writer.js";
import { compareData } from "./data-record.js";
import { type ConfigSource, runFiles } from "./files.js";
import { createRunFolder, existingRunFolder, nearPath, type RunFolder, removeUnfinished } from "./folder.js";
import { lockRun, type RunLock } from "./lock.js";
import { createRun, type OpenedRun, openFolder, openRun } from "./open.js";
import { rememberOrigin } from "./origin.js";
import { checkNames, ownParts } from "./parts.js";
import { createRunRecord } from "./record.js";
import { olderNote } from "./record-files.js";
import {
  checkContinues,
  chooseCheckpoint,
  endOf,
  findRun,
  type Resumable,
  type ResumePoint,
  resumePoint,
} from "./resume.js";
import { openTrainedNetwork } from "./trained-network.js";

export interface TrainOptions {
  /** The run's own folder. Default: `runs/<name>-<number>`, the next number that is free. */
  folder?: string;
  /**
   * `true` resumes the run in `folder`, or the newest run of the config's name; where there is none yet, a new one starts.
   * A path names a run or one of its checkpoints. A run that has ended is returned as it is; a config with more epochs trains on.
   */
  resume?: boolean | string;
  /** Stops the run after the micro-batch under way, and writes a checkpoint. */
  signal?: AbortSignal;
  /** Optimizer steps between two checkpoints. Default 100; each epoch ends with one too. */
  checkpointEvery?: number;
  /** Write every so many steps into `metrics.jsonl`. Default 1. */
  logEvery?: number;
  /** Fields of the config that may differ from those of the run that is resumed. */
  allowChange?: readonly string[];
  /** Take the run's lock from a process that cannot be seen from here. */
  forceUnlock?: boolean;
  /** The file that the config comes from, named by the user. */
  source?: ConfigSource;
  /** Plugins that only watch and are no part of the config: a report, say. */
  observers?: readonly Plugin[];
  /** Called with the run's events before anything is loaded: add listeners here. */
  watch?: (events: Emitter<Events>) => void;
  /** Receives lines for people while data and backend are loaded. */
  log?: (line: string) => void;
}

/**
 * Trains as a config says, in a folder that holds record, metrics, checkpoints, summary and weights. In a group of processes
 * (plugin `data-parallel`) rank 0 has that folder. The others write no checkpoints, and have a folder that ends with them.
 *
 * @returns the run, ready to predict. Interrupted by `signal`, it has the weights of its last step, and its
 *   `summary.stopReason` says so
 * @throws TrainerError with a stable `code`: ERR_OPTION, ERR_CONFIG, ERR_RESUME, ERR_OUTPUT, ERR_LOCKED, ERR_DATA,
 *   ERR_PEER, ERR_DIVERGED, ERR_PLUGIN, ERR_IO. A run that got to a checkpoint can be resumed
 */
export async function train(config: TrainerConfig, options: TrainOptions = {}): Promise<OpenedRun> {
  const { allowChange = [], source, observers = [], watch } = options;
  const before = resumed(options, config.name ?? "run");
  const id = before?.record.id ?? randomUUID();
  const inference = (): string[] => pluginsInInference(trainer);
  // What a record names stays in it, for people; only a file that the user names now is remembered (`rememberOrigin`).
  const named = source ?? before?.record.source;
  const record = createRunRecord({
    logEvery: options.logEvery,
    source: named,
    id,
    inference,
    processes: () => trainer.group.size,
    rateAt: (progress) => trainer.hooks.call.resolveLearningRate(trainer.config.learningRate, progress),
  });
  const trainer: Trainer = new Trainer(config, [record.plugin, ...observers]);
  checkNames(config);
  watch?.(trainer.events);
  const note = before && olderNote(before.record, []);
  if (note !== undefined) trainer.events.emit("warning", { message: note });
  const { rank, size } = trainer.group;
  if (before) checkContinues(before, trainer.config, { allowed: allowChange, source, processes: size });
  if (rank > 0) return trainBeside(config, trainer, before, options);

  const { folder, lock, leave } = acquireFolder(trainer.config.name, options, before);
  try {
    reportLock(lock, trainer.events);
    if (source && ownParts(configRecord(trainer.config)).length > 0) {
      rememberOrigin(folder, id, source, (message) => trainer.events.emit("warning", { message }));
    }
    removeUnfinished(folder);
    const chosen = before && chooseCheckpoint(before);
    const end = chosen && endOf(before, chosen, trainer.config);
    if (end !== undefined) {
      options.log?.(endedText(folder, end));
      return await openRun(folder, { config });
    }
    const from = chosen && resumePoint(before, chosen, trainer.events);
    if (before) record.resumes({ record: before.record, metricsBytes: from?.metricsBytes ?? 0, allowed: allowChange });
    const { dispose } = await trainer.fit({
      signal: options.signal,
      get folder() {
        lock.check(); // before each use: the folder may have been moved, and another put in its place
        return folder;
      },
      log: options.log,
      openNetwork: openTrainedNetwork,
      checkData:
        before &&
        ((data) => {
          const warn = (message: string): void => trainer.events.emit("warning", { message });
          compareData({ record: before.record, allowed: allowChange }, data, warn);
        }),
      from: from && (() => fromCheckpoint(from.checkpoint)),
      onResumePoint: checkpointWriter(folder, trainer.events, {
        every: options.checkpointEvery ?? 100,
        config: configHash(configRecord(trainer.config)),
        record,
        from,
        mayWrite: lock.check,
      }),
    });
    dispose(); // the run reads its weights from its folder
  } finally {
    leave();
  }
  return createRun(await openFolder(folder, { config }), { config });
}

/** What raises the end that a run came to; a plugin that ended it has no such option. */
const longer: Readonly<Record<string, string>> = {
  epochs: "--epochs N",
  "max steps": "--max-steps N",
  "max time": "--max-time TIME",
};

function endedText(folder: string, stopReason: string): string {
  const run = nearPath(folder);
  const more = longer[stopReason];
  const on = more === undefined ? "" : ` To train on: trainer --resume ${run} ${more}.`;
  return `This run has ended (${stopReason}); nothing to do.${on} To write its page again: trainer report ${run}`;
}

/**
 * A rank beside rank 0, which has the run's folder: this one reads that run's checkpoint, and has its own record in a temporary
 * folder until the process ends.
 */
async function trainBeside(
  config: TrainerConfig,
  trainer: Trainer,
  before: Resumable | undefined,
  { signal, log }: TrainOptions,
): Promise<OpenedRun> {
  const chosen = before && chooseCheckpoint(before);
  if (chosen && endOf(before, chosen, trainer.config) !== undefined) return openRun(before.folder, { config });
  const folder = temporaryFolder(trainer.group.rank);
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const checkpoint = chosen?.checkpoint;
  const { dispose } = await trainer.fit({
    signal,
    folder,
    log,
    openNetwork: openTrainedNetwork,
    from: checkpoint && (() => fromCheckpoint(checkpoint)),
  });
  dispose();
  return createRun(await openFolder(folder, { config }), { config });
}

function temporaryFolder(rank: number): string {
  try {
    return mkdtempSync(join(tmpdir(), `fitloop-rank-${rank}-`));
  } catch (cause) {
    throw ioError(`Creating a temporary folder in ${tmpdir()}`, cause);
  }
}

/** Plugins that build the network or say how it is evaluated; observers only watch. */
function pluginsInInference({ config, hooks }: Trainer): string[] {
  const used = new Set(["buildBlock", "buildHead", "buildNetwork", "beforeEvaluate"]);
  const tapping = new Set(hooks.taps().flatMap(({ hook, plugin }) => (used.has(hook) ? [plugin] : [])));
  return config.plugins.filter(({ name, observer }) => !observer && tapping.has(name)).map(({ name }) => name);
}

/** The run to resume; undefined where a new one starts. */
function resumed({ resume = false, folder, log }: TrainOptions, name: string): Resumable | undefined {
  if (resume === false) return undefined;
  if (resume !== true && folder !== undefined) {
    throw new TrainerError("ERR_OPTION", "Both the run to resume and a folder are given. Give one of them.");
  }
  const run = findRun(resume, { folder, name });
  if (!run) log?.("No run to resume yet: starting a new one.");
  return run;
}

/** The run's folder, created and locked, until `leave`; also where the process ends before that. */
function acquireFolder(
  name: string,
  { folder: out, forceUnlock }: TrainOptions,
  before: Resumable | undefined,
): { folder: string; lock: RunLock; leave: () => void } {
  const folder = before ? existingRunFolder(before.folder) : createRunFolder({ out, name });
  const lock = lockOrRemove(folder, forceUnlock);
  const release = (): void => {
    lock.release();
    folder.removeIfEmpty();
  };
  process.once("exit", release);
  const leave = (): void => {
    process.off("exit", release);
    release();
  };
  return { folder: folder.path, lock, leave };
}

/** The lock; a folder created for nothing is taken away again. */
function lockOrRemove(folder: RunFolder, force: boolean | undefined): RunLock {
  try {
    return lockRun(folder.path, { force });
  } catch (error) {
    folder.removeIfEmpty();
    throw error;
  }
}

/** A lock that a dead process left shows that its run was killed. */
function reportLock({ abandoned, forced }: RunLock, events: Emitter<Events>): void {
  if (abandoned) {
    const { pid, since } = abandoned;
    const message = `The previous run in this folder (process ${pid}, since ${since}) was killed.`;
    events.emit("warning", { message });
  }
  if (forced) events.emit("warning", { message: `The lock was taken with --force-unlock from ${forced}.` });
}

function checkpointWriter(
  folder: string,
  events: Emitter<Events>,
  {
    record,
    from,
    ...options
  }: {
    every: number;
    config: string;
    mayWrite: () => void;
    record: ReturnType<typeof createRunRecord>;
    from?: ResumePoint;
  },
): ReturnType<typeof createCheckpointWriter> {
  return createCheckpointWriter({
    folder: join(folder, runFiles.checkpoints),
    ...options,
    metrics: record.metrics,
    from: from?.checkpoint,
    onSaved: (saved) => events.emit("checkpoint:saved", saved),
    onRemoved: (path) =>
      events.emit("warning", { message: `${path} lies beyond the point from which the run resumes. It is removed.` }),
  });
}

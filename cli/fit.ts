/** `trainer fit`, the default: trains, keeps the run, and goes on with one that was interrupted. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import type { Emitter } from "mitt";
import { exitCodes, reasonOf, TrainerError } from "../core/errors.js";
import { forbidExit } from "../core/exit.js";
import type { Events } from "../core/loop/events.js";
import { fitEndRecord } from "../core/loop/summary.js";
import { Trainer } from "../core/loop/trainer.js";
import { createReport } from "../report/observer.js";
import { reportFile } from "../report/read.js";
import { type CheckpointMeta, createKeeper, fromCheckpoint } from "../run/checkpoint-writer.js";
import type { Checkpoint } from "../run/checkpoints.js";
import { createRunFolder, existingRunFolder, removeUnfinished } from "../run/folder.js";
import { toJson } from "../run/json.js";
import { lockRun, type RunLock } from "../run/lock.js";
import { createRunRecord, runFiles } from "../run/record.js";
import { removeLeftovers } from "../run/retention.js";
import { reportUncaught } from "./command-line.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { formatResults, showProgress } from "./progress.js";
import { checkContinues, chooseCheckpoint, configOfRun, configSource, findRun, type Resumable } from "./resume.js";
import { tell, tellWarnings } from "./terminal.js";
import { handleUncaught } from "./uncaught.js";

interface FitOptions extends RunOptions {
  out?: string;
  logEvery: number;
  checkpointEvery: number;
  resume?: string | true;
  allowChange: string[];
  forceUnlock?: boolean;
}

export function addFit(program: Command): void {
  addRunOptions(program.command("fit", { isDefault: true }))
    .description("train a model (the default command)")
    .option("--out <dir>", "the run's own folder; default runs/<name>-<number>")
    .option("--log-every <steps>", "keep every so many steps in metrics.jsonl", whole(1), 1)
    .option("--checkpoint-every <steps>", "keep a checkpoint every so many steps", whole(1), 100)
    .option("--resume [run]", "go on with a run: this one, or the one in --out, or the newest of this name")
    .option(
      "--allow-change <key>",
      "go on although this field of the config has changed; may be repeated",
      (key: string, all: string[]) => [...all, key],
      [],
    )
    .option("--force-unlock", "take the run's lock from a process that cannot be seen from here")
    .addHelpText(
      "after",
      `
Examples:
  trainer --preset quickstart                      a whole run in a minute, no data needed
  trainer --preset cifar100-small --data cifar-100-binary.tar.gz
  trainer --preset cifar100-small --data … --without label-smoothing --seed 2
  trainer                                          runs the trainer.config.ts of this project
  trainer --resume runs/cifar100-small-1           goes on where it stopped, with the same bits
  trainer --preset cifar100-small --out here --resume   begins it, and repeated goes on with it

The run's folder holds config.resolved.json, metrics.jsonl, checkpoints/, summary.json and weights.safetensors
(PyTorch's names and layouts). Ctrl-C stops after the micro-batch under way and keeps a checkpoint; twice stops
at once. A terminal that is closed stops it the same way, under nohup too; setsid keeps it running.

Exit codes: 0 done, 2 usage or config, 65 bad data, 70 a plugin failed, 73 no output folder, 74 I/O,
75 another process holds the run, 76 diverged, 129, 130 and 143 interrupted (SIGHUP, SIGINT, SIGTERM).`,
    )
    .action(fit);
}

async function fit(options: FitOptions): Promise<void> {
  const { resume, out, allowChange } = options;
  if (typeof resume === "string" && out !== undefined) {
    throw new TrainerError("ERR_OPTION", "--resume RUN and --out both name the run's folder. Give one of them.");
  }
  let run = resume !== undefined && (resume !== true || out !== undefined) ? findRun(resume, { out }) : undefined;
  const found = run;
  const { config, file } = await configFrom(options, found && (() => configOfRun(found, allowChange)));
  const record = createRunRecord({
    logEvery: options.logEvery,
    source: file === undefined ? found?.record.source : configSource(file),
  });
  const trainer = new Trainer(config, [record.plugin, createReport({ command: typedCommand(process.argv.slice(2)) })]);
  if (resume === true && out === undefined) run = findRun(true, { name: trainer.config.name });
  if (run) checkContinues(run, trainer, { allowed: allowChange, file });

  const { events } = trainer;
  if (options.json) events.on("*", (event, value) => process.stdout.write(`${toJson({ event, ...value })}\n`));
  // Quiet is not silent: what was skipped or replaced is said all the same.
  if (options.quiet) tellWarnings(events);
  else showProgress(events);
  let classes: number | undefined;
  events.on("fit:start", (started) => ({ classes } = started));
  const log = options.quiet ? undefined : tell;
  if (resume !== undefined && !run) log?.("no run to go on with yet: this is a new one");

  const folder = run ? existingRunFolder(run.folder) : createRunFolder({ out, name: trainer.config.name });
  const lock = lockRun(folder.path, { force: options.forceUnlock });
  const leave = (): void => {
    lock.release();
    folder.removeIfEmpty();
  };
  process.once("exit", leave); // also after an error that nobody waited for
  const interrupt = listenForEnds(events, leave);
  try {
    sayHowItEnded(lock, events);
    removeUnfinished(folder.path);
    const from = run && goOn(run, events);
    if (run) record.goesOn({ record: run.record, metricsBytes: from?.metricsBytes ?? 0, allowed: allowChange });
    const summary = await trainer.fit({
      signal: interrupt.signal,
      folder: folder.path,
      log,
      from: from && (() => fromCheckpoint(from.checkpoint)),
      keep: createKeeper({
        folder: join(folder.path, runFiles.checkpoints),
        every: options.checkpointEvery,
        metrics: record.metrics,
        from: from?.checkpoint,
        onSaved: (saved) => events.emit("checkpoint:saved", saved),
        onRemoved: (path) =>
          events.emit("warning", { message: `${path} lies beyond the point the run goes on from, and is removed.` }),
      }),
    });
    if (interrupt.stray) throw strayError(interrupt.stray.error);
    const report = options.quiet ? undefined : reportOf(folder.path);
    if (!options.json)
      process.stdout.write(`${formatResults(fitEndRecord(summary), { classes, folder: folder.path, report })}\n`);
    if (interrupt.exitCode === undefined) return;
    process.exitCode = interrupt.exitCode;
    log?.(`to go on with it: trainer --resume ${nearPath(folder.path)}`);
  } finally {
    interrupt.stop();
    process.off("exit", leave);
    leave();
  }
}

/** Where a run's page is, as one would type it from here; nothing where it could not be written. */
function reportOf(folder: string): string | undefined {
  const path = join(folder, reportFile);
  return existsSync(path) ? nearPath(path) : undefined;
}

/** A path as one would type it from here. */
function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

/**
 * A command to be typed into a shell again. Without the folder, which is taken by then, and without going on with what it
 * may hold: it makes the same run in a new one.
 */
export function typedCommand(words: readonly string[]): string {
  const bare = (word: string | undefined): boolean => word === undefined || word.startsWith("-");
  const again = words.filter(
    (word, at) =>
      !(
        word === "--out" ||
        words[at - 1] === "--out" ||
        word.startsWith("--out=") ||
        (word === "--resume" && bare(words[at + 1]))
      ),
  );
  const quoted = again.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return ["trainer", ...quoted].join(" ");
}

/** A lock that a dead process left tells that its run ended without a word: killed, out of memory, power cut. */
function sayHowItEnded({ abandoned, forced }: RunLock, events: Emitter<Events>): void {
  if (abandoned) {
    const { pid, since } = abandoned;
    const message = `The run before in this folder (process ${pid}, since ${since}) ended without a word.`;
    events.emit("warning", { message });
  }
  if (forced) events.emit("warning", { message: `The lock was taken by force from ${forced}.` });
}

/** Makes a run's folder fit to go on, and tells from where. */
function goOn(run: Resumable, events: Emitter<Events>): { checkpoint: Checkpoint; metricsBytes: number } | undefined {
  const checkpoints = join(run.folder, runFiles.checkpoints);
  const { checkpoint, skipped } = chooseCheckpoint(run);
  for (const message of skipped) events.emit("warning", { message });
  removeLeftovers(checkpoints);
  if (!checkpoint) {
    events.emit("warning", { message: "The run had come to no checkpoint: it begins again." });
    return undefined;
  }
  const { position, metricsBytes } = checkpoint.meta as CheckpointMeta;
  events.emit("fit:resume", { step: position.step, epoch: position.epoch, batchInEpoch: position.batchInEpoch });
  return { checkpoint, metricsBytes };
}

const strayError = (cause: unknown): TrainerError =>
  new TrainerError(
    "ERR_PLUGIN",
    `An error that nobody waited for ended the run: ${reasonOf(cause)}. It comes from a timer, a listener or a promise of the ` +
      "config or a plugin. The run was kept, and --resume goes on with it.",
    { cause },
  );

interface Interrupt {
  readonly signal: AbortSignal;
  /** Of the signal that came, if one did. */
  readonly exitCode: number | undefined;
  /** The error that nobody waited for, if there was one. */
  readonly stray: { error: unknown } | undefined;
  stop(): void;
}

/**
 * What ends a run from outside. An error that nobody waited for stops it as a signal does; `process.exit` is an error of
 * whoever calls it.
 *
 * SIGINT, SIGTERM and SIGHUP stop the run after the micro-batch under way. A second one leaves at once, and so does the
 * first while data and backend are still loading: there is nothing to keep yet.
 *
 * A second SIGHUP is not that: where a terminal is closed, the shell sends one and the system another, and nobody insists.
 * Under nohup it stops the run as well: Node undoes an ignored SIGHUP before any code of ours runs, and nothing tells that
 * it was ignored.
 */
function listenForEnds(events: Emitter<Events>, tidyUp: () => void): Interrupt {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let stray: { error: unknown } | undefined;
  let training = false;
  const allowExit = forbidExit((call) => `${call} was called while the run was on`);
  const leave = (code: number): never => {
    tidyUp();
    allowExit();
    process.exit(code);
  };
  const strays = handleUncaught((error) => {
    if (!training) leave(reportUncaught(error));
    stray ??= { error };
    controller.abort("an error that nobody waited for");
  });
  events.on("fit:start", () => (training = true));
  const codes = { SIGINT: exitCodes.sigint, SIGTERM: exitCodes.sigterm, SIGHUP: exitCodes.sighup } as const;
  const handlers = Object.entries(codes).map(([name, code]) => {
    const handler = (): void => {
      if (exitCode !== undefined && name === "SIGHUP") return;
      if (exitCode !== undefined || !training) leave(exitCode ?? code);
      exitCode = code;
      tell(`\n${name}: stopping after this step; once more to leave at once`);
      controller.abort(name);
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    get stray() {
      return stray;
    },
    stop() {
      for (const { name, handler } of handlers) process.off(name, handler);
      strays.stop();
      allowExit();
    },
  };
}

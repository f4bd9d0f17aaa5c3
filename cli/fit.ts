/** `trainer fit`, the default command: trains a model, or resumes a run. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { exitCodes, TrainerError } from "../core/errors.js";
import type { presets } from "../presets/index.js";
import { createReport } from "../report/observer.js";
import { reportFile } from "../report/read.js";
import { nearPath } from "../run/folder.js";
import { toJson } from "../run/json.js";
import { configOfRun } from "../run/origin.js";
import { findRun } from "../run/resume.js";
import { train } from "../run/train.js";
import { trainOnDevices } from "./devices.js";
import { inGroup, listed, withoutAddresses } from "./group.js";
import { listenForEnds } from "./interrupt.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { formatResults, showProgress } from "./progress.js";
import { tell, tellWarnings } from "./terminal.js";

interface FitOptions extends RunOptions {
  out?: string;
  logEvery: number;
  checkpointEvery: number;
  resume?: string | true;
  allowChange: string[];
  forceUnlock?: boolean;
  devices?: number;
  hosts?: string[];
  port?: number;
  insecureNetwork?: boolean;
}

export function addFit(program: Command): void {
  addRunOptions(program.command("fit", { isDefault: true }))
    .alias("train")
    .description("train a model (the default command, also called train)")
    .option("--out <dir>", "folder of the run; default runs/<name>-<number>")
    .option("--log-every <steps>", "write every n-th step to metrics.jsonl", whole(1), 1)
    .option("--checkpoint-every <steps>", "write a checkpoint every n steps", whole(1), 100)
    .option("--resume [run]", "resume a run: this one, that in --out, or the newest")
    .option(
      "--allow-change <key>",
      "resume with a changed field; may be repeated",
      (key: string, all: string[]) => [...all, key],
      [],
    )
    .option("--force-unlock", "take the lock of a process on another machine")
    .option("--devices <n>", "train in n processes on this machine", whole(1))
    .option("--hosts <list>", "machines of the processes, with commas: a,b or host:port for each", listed)
    .option("--port <n>", "port of the first process on each machine; default 29600", whole(1024))
    .option("--insecure-network", "allow other machines in --hosts; see docs/distributed.md")
    .addHelpText(
      "after",
      `
Examples:
  trainer --data photos                 your own images: photos/<class>/1.jpg …
  trainer --preset quickstart           a whole run in 20 seconds, without data
  trainer --preset cifar100-small       downloads CIFAR-100; or give --data PATH
  trainer                               trains the trainer.config.ts found here
  trainer --resume runs/quickstart-1    resumes bit-identically
  trainer --preset quickstart --out runs/a --resume   starts or resumes runs/a
  trainer --devices 2 --data photos     two processes, each half of every batch

The folder of a run holds report.html, weights.safetensors (PyTorch's names and
layouts), summary.json, metrics.jsonl, config.resolved.json and checkpoints/.

Ctrl-C stops after the current micro-batch and writes a checkpoint; a second one
stops at once. Closing the terminal does the same, also under nohup. Use setsid
to keep a run alive.

Exit codes: 0 done, 2 usage or config, 65 data, 69 another process was lost,
70 plugin failed, 73 output
folder, 74 input or output, 75 run is locked, 76 diverged, 129, 130 and 143
interrupted (SIGHUP, SIGINT, SIGTERM).`,
    )
    .action(fit);
}

async function fit(options: FitOptions): Promise<void> {
  const { devices = 1 } = options;
  if (devices > 1) {
    const given = (["hosts", "port", "insecureNetwork"] as const).filter((key) => options[key] !== undefined);
    if (given.length > 0) {
      const names = given.map((key) => (key === "insecureNetwork" ? "--insecure-network" : `--${key}`)).join(" and ");
      throw new TrainerError("ERR_OPTION", `--devices chooses addresses itself. Remove ${names}.`);
    }
    process.exitCode = await trainOnDevices(devices, process.argv.slice(2));
    return;
  }
  const { resume, out: folder, allowChange } = options;
  // A run that is named gives its own config; the newest one of a name is found by the config.
  const run =
    resume !== undefined && (resume !== true || folder !== undefined) ? findRun(resume, { folder }) : undefined;
  const named = await configFrom(
    options,
    run && (async () => withoutAddresses(await configOfRun(run, { allowChange }))),
  );
  const { source } = named;
  const { config, rank, size } = inGroup(named.config, options, process.env);
  // Rank 0 speaks for all; the others say why they failed.
  const quiet = rank > 0 || options.quiet;
  const json = rank === 0 && options.json;
  const launched = process.env.FITLOOP_HOSTS !== undefined;
  const words = [...process.argv.slice(2), ...(launched ? ["--devices", String(size)] : [])];
  const ends = listenForEnds({ passedOn: launched });
  if (launched) process.once("disconnect", () => process.kill(process.pid, "SIGTERM")); // its launcher was killed
  let saved: { path: string; step: number } | undefined; // the last checkpoint
  let started = false; // not where a run to be resumed has ended
  try {
    const done = await train(config, {
      folder,
      resume,
      signal: ends.signal,
      checkpointEvery: options.checkpointEvery,
      logEvery: options.logEvery,
      allowChange,
      forceUnlock: options.forceUnlock,
      source,
      observers: rank > 0 ? [] : [createReport({ command: typedCommand(words) })],
      log: quiet ? undefined : tell,
      watch(events) {
        ends.watch(events);
        events.on("fit:start", () => void (started = true));
        events.on("checkpoint:saved", (checkpoint) => void (saved = checkpoint));
        if (json) events.on("*", (event, value) => process.stdout.write(`${toJson({ event, ...value })}\n`));
        // Warnings are reported under --quiet too: nothing is skipped or replaced in silence.
        if (rank > 0) return;
        if (quiet) tellWarnings(events);
        else showProgress(events, { advice: quickerThan(options.preset) });
      },
    }).catch((error: unknown) => {
      // A run that diverged would diverge again, and one that lost its folder has none.
      const again = error instanceof TrainerError && !["ERR_DIVERGED", "ERR_LOCKED"].includes(error.code);
      if (saved && again) tell(`The run is kept up to step ${saved.step}. ${resumeHint(dirname(dirname(saved.path)))}`);
      throw error;
    });
    ends.throwUncaught();
    if (!started) {
      if (json) process.stdout.write(`${toJson({ event: "fit:end", ...done.summary })}\n`);
      return;
    }
    const report = quiet ? undefined : reportOf(done.folder);
    // Another rank's signal stops this one too.
    const interrupted = rank === 0 && done.summary.stopReason.startsWith("interrupted");
    const exitCode = ends.exitCode ?? (interrupted ? exitCodes.sigterm : undefined);
    const usable = quiet || exitCode !== undefined ? undefined : quoted(nearPath(done.folder));
    const shown = { classes: done.classes.length, folder: done.folder, report, usable };
    if (rank === 0 && !json) process.stdout.write(`${formatResults(done.summary, shown)}\n`);
    if (exitCode === undefined) return;
    process.exitCode = exitCode;
    if (!quiet) tell(resumeHint(done.folder));
  } finally {
    ends.stop();
  }
}

const resumeHint = (folder: string): string => `To resume it: trainer --resume ${nearPath(folder)}`;

/** Presets of days, and what to take instead. */
const quicker: Readonly<Record<string, readonly (keyof typeof presets)[]>> = {
  "cifar100-strong": ["cifar100-native", "cifar100-fast"],
  "cifar100-augmented": ["cifar100-native", "cifar100-fast"],
  "cifar100-native": ["cifar100-fast"],
};

function quickerThan(preset: string | undefined): string | undefined {
  const names = quicker[preset ?? ""];
  return names && `Quicker presets for CIFAR-100: ${names.join(", ")}.`;
}

/** Where a run's page is, as one would type it from here; nothing where it could not be written. */
function reportOf(folder: string): string | undefined {
  const path = join(folder, reportFile);
  return existsSync(path) ? nearPath(path) : undefined;
}

/**
 * The command that makes the same run again, as typed into a shell. It names no folder, which is taken by then, and resumes
 * nothing: the run gets a new folder.
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
  return ["trainer", ...again.map(quoted)].join(" ");
}

/** A word as a shell takes it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

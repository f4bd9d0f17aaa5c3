/** Many runs in one folder, one after the other: what `ablate` and `sweep` share. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ResolvedConfig, resolveConfig, type TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { isFinished } from "../report/groups.js";
import { createReport } from "../report/observer.js";
import { readRun } from "../report/read.js";
import type { RunParts } from "../report/run-page.js";
import { type ConfigSource, runFiles } from "../run/files.js";
import { checkContinues, findRun } from "../run/resume.js";
import { train } from "../run/train.js";
import type { Interrupt } from "./interrupt.js";
import { showProgress } from "./progress.js";
import { tell, tellWarnings } from "./terminal.js";

export interface Trial {
  /** Of its folder: "cutmix-2". */
  readonly name: string;
  readonly config: TrainerConfig;
}

export interface TrialOptions {
  readonly out: string;
  readonly quiet?: boolean;
  readonly ends: Interrupt;
  /** Which of how many it is: "2 of 6". */
  readonly place?: string;
  /** The config's file, where it has one. */
  readonly source?: ConfigSource;
  /** Pauses the run once so many epochs are done; resumed later, it is as if it had not been paused. */
  readonly untilEpoch?: number;
}

/**
 * Starts, resumes or reads a trial. A finished one is not run again, and must be of the same config.
 *
 * @returns what its folder holds; undefined where the command was interrupted
 * @throws TrainerError of the run, with the trial's name; ERR_RESUME where the folder holds another config's run
 */
export async function runTrial({ name, config }: Trial, options: TrialOptions): Promise<RunParts | undefined> {
  const { out, quiet, ends, source, untilEpoch, place } = options;
  const folder = join(out, name);
  try {
    const resolved = resolveConfig(config);
    const begun = existsSync(join(folder, runFiles.config));
    const done = begun ? finishedRun(folder, resolved, options) : undefined;
    if (done) return done;
    if (!quiet) tell(place === undefined ? name : `\nrun ${place}: ${name}`);
    const pause = new AbortController();
    const run = await train(config, {
      folder,
      resume: begun,
      source,
      signal: AbortSignal.any([ends.signal, pause.signal]),
      observers: [createReport()],
      log: quiet ? undefined : tell,
      watch(events) {
        ends.watch(events);
        if (quiet) tellWarnings(events);
        else showProgress(events);
        events.on("epoch:end", ({ epoch, epochs }) => {
          if (untilEpoch !== undefined && epoch + 1 >= untilEpoch && epoch + 1 < epochs) pause.abort("paused");
        });
      },
    });
    run.dispose();
    ends.throwUncaught();
    return ends.exitCode === undefined ? readRun(folder, false) : undefined;
  } catch (cause) {
    if (!(cause instanceof TrainerError)) throw cause;
    throw new TrainerError(cause.code, `Run "${name}": ${cause.message}`, { cause });
  }
}

/** A run that has come as far as it should; undefined for one to be resumed. */
function finishedRun(
  folder: string,
  config: ResolvedConfig,
  { source, untilEpoch }: TrialOptions,
): RunParts | undefined {
  checkContinues(findRun(folder, {})!, config, { allowed: [], source });
  const parts = readRun(folder, false);
  // An interrupted epoch has a line in the metrics too, and so has one whose validation was interrupted.
  const isPaused =
    untilEpoch !== config.epochs &&
    parts.history.epochs.some(
      ({ epoch, whole, validation }) => epoch + 1 === untilEpoch && whole && validation !== undefined,
    );
  return isFinished(parts) || isPaused ? parts : undefined;
}

/** Top-1 on validation of what a run ended with. @throws TrainerError ERR_OPTION for a run without validation */
export const validationOf = (parts: RunParts): number => mustBeThere(parts, parts.summary?.validation?.top1);

/** Top-1 on validation after so many epochs: of what the run ended with, where it has no more. */
export function validationAt(parts: RunParts, epochs: number): number {
  const then = parts.history.epochs.find(({ epoch }) => epoch + 1 === epochs)?.validation?.top1;
  const ends = parts.record?.maxTime !== undefined || parts.record?.epochs === epochs;
  const whole = ends && isFinished(parts);
  return mustBeThere(parts, whole ? parts.summary?.validation?.top1 : then);
}

function mustBeThere({ folder }: RunParts, top1: number | undefined): number {
  if (top1 !== undefined) return top1;
  throw new TrainerError(
    "ERR_OPTION",
    `${folder} has no validation images, and the test set is not for choosing. Give --holdout 0.1, or data with a validation split.`,
  );
}

/** Resuming: which run, from which checkpoint, and whether a config continues it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Emitter } from "mitt";
import { type ConfigRecord, configRecord, type ResolvedConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import type { Events, SummaryRecord } from "../core/loop/events.js";
import { enough } from "../core/loop/fit.js";
import { suggestion } from "../core/options.js";
import { allowable, mustBeContinuable } from "./changes.js";
import { placeName } from "./checkpoint-names.js";
import { type CheckpointMeta, metaOfCheckpoint } from "./checkpoint-writer.js";
import { type Checkpoint, newestCheckpoint, readCheckpoint } from "./checkpoints.js";
import { type ConfigSource, type RunConfigRecord, runFiles } from "./files.js";
import { toJson } from "./json.js";
import { asOfNow, named, ownParts } from "./parts.js";
import { readPreprocessing } from "./preprocessing.js";
import { isCutShort, readRecord, readSummary } from "./record-files.js";
import { removeLeftovers } from "./retention.js";

/** A run that may be resumed. */
export interface Resumable {
  readonly folder: string;
  /** What the run was made from. */
  readonly record: RunConfigRecord;
  /** The one checkpoint asked for; else the newest is taken. */
  readonly checkpoint?: string;
  /** Named by the user: a damaged checkpoint is then refused, and not skipped. */
  readonly named: boolean;
}

/**
 * The run that `resume` means: the folder or checkpoint it names; for `true` the run in `folder`, or else the newest run
 * called `name` below `root`. Undefined where there is none yet.
 *
 * @throws TrainerError ERR_DATA for a name that is no run
 */
export function findRun(
  resume: string | true,
  { folder: own, name, root = "runs" }: { folder?: string; name?: string; root?: string },
): Resumable | undefined {
  if (resume !== true) {
    const path = resolve(resume);
    const isCheckpoint = basename(dirname(path)) === runFiles.checkpoints;
    const folder = isCheckpoint ? dirname(dirname(path)) : path;
    return { folder, record: readRecord(folder), checkpoint: isCheckpoint ? path : undefined, named: true };
  }
  const folder = own === undefined ? newestRun(resolve(root), name!) : resolve(own);
  if (folder === undefined || !isRun(folder)) return undefined;
  return { folder, record: readRecord(folder), named: false };
}

const isRun = (folder: string): boolean => existsSync(join(folder, runFiles.config));

function newestRun(root: string, name: string): string | undefined {
  if (!existsSync(root)) return undefined;
  const numbers = readdirSync(root)
    .filter((entry) => entry.startsWith(`${name}-`) && /^\d+$/.test(entry.slice(name.length + 1)))
    .map((entry) => Number(entry.slice(name.length + 1)))
    .filter((number) => isRun(join(root, `${name}-${number}`)));
  return numbers.length === 0 ? undefined : join(root, `${name}-${Math.max(...numbers)}`);
}

/**
 * Refuses a config that would not continue the run; `source` is its file, where it comes from one. `processes` train it.
 *
 * @throws TrainerError ERR_RESUME with every difference, ERR_OPTION for an `allowed` that is no field
 */
export function checkContinues(
  { record }: Pick<Resumable, "record">,
  config: ResolvedConfig,
  { allowed, source, processes = 1 }: { allowed: readonly string[]; source?: ConfigSource; processes?: number },
): void {
  const unknown = allowed.find((each) => !allowable.includes(each));
  if (unknown !== undefined) {
    throw new TrainerError("ERR_OPTION", `--allow-change ${unknown}: unknown field${suggestion(unknown, allowable)}.`);
  }
  if (source && !allowed.includes("config")) mustBeTheFile(record, source);
  const had = record.environment?.processes ?? 1;
  if (had !== processes && !allowed.includes("devices")) {
    throw new TrainerError(
      "ERR_RESUME",
      `The run was trained by ${counted(had)}, and would now be by ${counted(processes)}: the sums would have other bits. ` +
        `Start it with --devices ${had}, or allow the change with --allow-change devices.`,
    );
  }
  const before = asOfNow(record);
  const after = JSON.parse(toJson(configRecord(config))) as ConfigRecord;
  // One that did not name its backend ran on the one it found.
  const ran = record.environment?.backend as ConfigRecord["backend"];
  mustBeContinuable({ ...before, backend: before.backend ?? (after.backend && ran) }, after, allowed);
}

const counted = (processes: number): string => (processes === 1 ? "one process" : `${processes} processes`);

/** Refuses a config file with parts of the user's own that is not the one that made the run. */
function mustBeTheFile(record: RunConfigRecord, { path, sha256 }: ConfigSource): void {
  const own = ownParts(record);
  if (own.length === 0 || !record.source || record.source.sha256 === sha256) return;
  throw new TrainerError(
    "ERR_RESUME",
    `The run uses parts of its own config (${named(own)}), and ${path} has changed since. ` +
      "Restore it, or allow it with --allow-change config.",
  );
}

/** The checkpoint from which a run resumes; undefined where it has none yet. */
export interface ChosenCheckpoint {
  readonly checkpoint?: Checkpoint;
  /** Which newer ones are damaged, and how. */
  readonly skipped: readonly string[];
}

/**
 * Reads the checkpoint from which a run resumes: hundreds of megabytes, so once a resume.
 *
 * @throws TrainerError ERR_IO for a damaged checkpoint of a run that was named
 */
export function chooseCheckpoint({ folder, checkpoint: asked, named }: Resumable): ChosenCheckpoint {
  if (asked !== undefined) return { checkpoint: readCheckpoint(asked), skipped: [] };
  const { checkpoint, skipped } = newestCheckpoint(join(folder, runFiles.checkpoints));
  const problems = skipped.map(({ path, problem }) => `${path} is skipped: ${problem}`);
  if (problems.length > 0 && (named || !checkpoint)) {
    const older = checkpoint
      ? `\nTo resume from an older one: --resume ${join(folder, runFiles.checkpoints, placeName(checkpoint))}`
      : "";
    throw new TrainerError(
      "ERR_IO",
      `The run cannot resume from its newest checkpoint.\n${problems.join("\n")}${older}`,
    );
  }
  return { checkpoint, skipped: problems };
}

/**
 * Why a run that has ended has nothing left to do: its checkpoint is where the config ends it, and its results are of that
 * checkpoint. Undefined for one to be trained, or whose results are missing, damaged, or of another point.
 *
 * @returns its `stopReason`
 */
export function endOf(
  run: Resumable,
  { checkpoint }: ChosenCheckpoint,
  { epochs = Infinity, ...limits }: ResolvedConfig,
): string | undefined {
  if (!checkpoint) return undefined;
  const results = resultsIn(run.folder);
  if (!results || isCutShort(results.stopReason)) return undefined;
  const { position } = metaOfCheckpoint(checkpoint);
  const isThere = position.ended !== undefined || enough(limits, position) !== undefined || position.epoch >= epochs;
  // Measured seconds tell a checkpoint from any other, also from one of the same step that was trained again.
  const isOfIt = results.steps === position.step && results.seconds === position.seconds;
  return isThere && isOfIt ? results.stopReason : undefined;
}

/** Undefined where summary or weights are missing or damaged: a resume writes them again. */
function resultsIn(folder: string): SummaryRecord | undefined {
  try {
    const weights = join(folder, runFiles.weights);
    readPreprocessing(readFileSync(weights), weights);
    return readSummary(folder);
  } catch {
    return undefined;
  }
}

/** Where a run resumes: its checkpoint, and the length of its metrics then. */
export interface ResumePoint {
  readonly checkpoint: Checkpoint;
  readonly metricsBytes: number;
}

/** Checks the checkpoint, removes what an interrupted save left, and reports both. The caller holds the run's lock. */
export function resumePoint(
  run: Resumable,
  { checkpoint, skipped }: ChosenCheckpoint,
  events: Emitter<Events>,
): ResumePoint | undefined {
  for (const message of skipped) events.emit("warning", { message });
  const meta = checkpoint && metaOfCheckpoint(checkpoint);
  if (meta) mustBelong(meta, run.record);
  removeLeftovers(join(run.folder, runFiles.checkpoints)); // nothing is removed before everything was checked
  if (!checkpoint || !meta) {
    events.emit("warning", { message: "The run has no checkpoint yet: it starts from the beginning." });
    return undefined;
  }
  const { position, metricsBytes } = meta;
  events.emit("fit:resume", { step: position.step, epoch: position.epoch, batchInEpoch: position.batchInEpoch });
  return { checkpoint, metricsBytes };
}

/** A checkpoint carries the hash of its config, and a record those of all configs that the run has had. */
function mustBelong({ config }: CheckpointMeta, { configs }: RunConfigRecord): void {
  if (config === undefined || configs === undefined || configs.includes(config)) return; // 0.1.0 wrote neither
  throw new TrainerError(
    "ERR_RESUME",
    `The checkpoint is of another run than ${runFiles.config}: expected a config of the hash ` +
      `${configs.map((hash) => hash.slice(0, 16)).join(" or ")}, got ${config.slice(0, 16)}. ` +
      "Restore the record and the checkpoints of one run.",
  );
}

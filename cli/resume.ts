/** `--resume`: which run goes on, from which checkpoint, and as which config. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { TrainerConfig } from "../core/config/config.js";
import { type ConfigRecord, configRecord } from "../core/config/config.js";
import { loadConfig } from "../core/config/load.js";
import { TrainerError } from "../core/errors.js";
import type { Trainer } from "../core/loop/trainer.js";
import { suggestion } from "../core/options.js";
import { allowable, mustBeContinuable } from "../run/changes.js";
import { placeName } from "../run/checkpoint-names.js";
import { type Checkpoint, newestCheckpoint, readCheckpoint } from "../run/checkpoints.js";
import { toJson } from "../run/json.js";
import { type ConfigSource, type RunConfigRecord, runFiles } from "../run/record.js";
import { asOfNow, foreignPlugins, readRecord, rebuilt } from "./open-run.js";

/** A run that may go on. */
export interface Resumable {
  readonly folder: string;
  /** What the run was made from. */
  readonly record: RunConfigRecord;
  /** The one checkpoint asked for; else the newest is taken. */
  readonly checkpoint?: string;
  /** Named by whoever asked: what is damaged is then refused, and not passed over. */
  readonly named: boolean;
}

/**
 * The run that `--resume` means: the folder or checkpoint it names; without a name the run in `out`, or the newest of
 * `name` in `root`. Undefined where there is none yet: such a command begins one, and repeated goes on with it.
 *
 * @throws TrainerError ERR_DATA for a name that is no run
 */
export function findRun(
  resume: string | true,
  { out, name, root = "runs" }: { out?: string; name?: string; root?: string },
): Resumable | undefined {
  if (resume !== true) {
    const path = resolve(resume);
    const isCheckpoint = basename(dirname(path)) === runFiles.checkpoints;
    const folder = isCheckpoint ? dirname(dirname(path)) : path;
    if (!isRun(folder)) {
      throw new TrainerError("ERR_DATA", `${folder} is no run to go on with: it has no ${runFiles.config}.`);
    }
    const checkpoint = isCheckpoint ? path : undefined;
    return { folder, record: readRecord(join(folder, runFiles.config)), checkpoint, named: true };
  }
  const folder = out === undefined ? newestRun(resolve(root), name!) : resolve(out);
  if (folder === undefined || !isRun(folder)) return undefined;
  return { folder, record: readRecord(join(folder, runFiles.config)), named: false };
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
 * The config of a run again. Made of built-in parts it comes from the record alone; one with a user's own plugins
 * from the config file, which must be the one it was.
 *
 * @throws TrainerError ERR_CONFIG, ERR_RESUME
 */
export async function configOfRun({ record }: Resumable, allowed: readonly string[]): Promise<TrainerConfig> {
  const { source } = record;
  const foreign = foreignPlugins(record);
  if (foreign.length === 0 || !source) return rebuilt(record);
  if (!existsSync(source.path)) {
    throw new TrainerError(
      "ERR_RESUME",
      `The run uses plugins of its own config (${foreign.join(", ")}), and ${source.path} is not there any more. ` +
        "Put it back, or give the config with --config.",
    );
  }
  mustBeTheFile(record, source.path, allowed); // before it is executed
  return (await loadConfig(source.path)).config;
}

/** Refuses a file with plugins of the user's own that is not the one that the run was made of. */
function mustBeTheFile(record: RunConfigRecord, path: string, allowed: readonly string[]): void {
  const foreign = foreignPlugins(record);
  if (foreign.length === 0 || !record.source || allowed.includes("config")) return;
  if (configSource(path).sha256 === record.source.sha256) return;
  throw new TrainerError(
    "ERR_RESUME",
    `The run uses plugins of its own config (${foreign.join(", ")}), and ${path} has changed since. ` +
      "Put it back as it was, or insist with --allow-change config.",
  );
}

/** A config file as a run remembers it. */
export function configSource(path: string): ConfigSource {
  return { path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
}

/**
 * Refuses a config that would not continue the run; `file` is where it stands, where it stands in one.
 *
 * @throws TrainerError ERR_RESUME with every difference, ERR_OPTION for an `allowed` that is no field
 */
export function checkContinues(
  { record }: Resumable,
  trainer: Trainer,
  { allowed, file }: { allowed: readonly string[]; file?: string },
): void {
  const unknown = allowed.find((each) => !allowable.includes(each));
  if (unknown !== undefined) {
    throw new TrainerError(
      "ERR_OPTION",
      `--allow-change ${unknown}: there is no such field${suggestion(unknown, allowable)}. There are ${allowable.join(", ")}.`,
    );
  }
  if (file !== undefined) mustBeTheFile(record, file, allowed);
  const before = asOfNow(record);
  const after = JSON.parse(toJson(configRecord(trainer.config))) as ConfigRecord;
  // One that did not name its backend ran on the one it found.
  const ran = record.environment?.backend as ConfigRecord["backend"];
  mustBeContinuable({ ...before, backend: before.backend ?? (after.backend && ran) }, after, allowed);
}

/**
 * The checkpoint a run goes on from; undefined where it had not come to its first.
 *
 * @returns also what was passed over, and why
 * @throws TrainerError ERR_IO for a damaged checkpoint of a run that was named
 */
export function chooseCheckpoint({ folder, checkpoint: asked, named }: Resumable): {
  checkpoint?: Checkpoint;
  skipped: string[];
} {
  if (asked !== undefined) return { checkpoint: readCheckpoint(asked), skipped: [] };
  const { checkpoint, skipped } = newestCheckpoint(join(folder, runFiles.checkpoints));
  const problems = skipped.map(({ path, problem }) => `${path} is passed over: ${problem}`);
  if (problems.length > 0 && (named || !checkpoint)) {
    const older = checkpoint
      ? `\nTo go on from an older one: --resume ${join(folder, runFiles.checkpoints, placeName(checkpoint))}`
      : "";
    throw new TrainerError(
      "ERR_IO",
      `The run cannot go on from its newest checkpoint.\n${problems.join("\n")}${older}`,
    );
  }
  return { checkpoint, skipped: problems };
}

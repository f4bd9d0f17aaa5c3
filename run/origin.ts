/**
 * Which config file made a run, as this machine remembers it: outside the run's folder, which may come from elsewhere and is
 * data. Only runs with parts of the user's own are remembered.
 *
 *     <cache>/runs/<hash of the run's id and its folder>.json   { folder, config, sha256 }
 *
 * The id is random and in the run's record. A copy of the run, or the run moved, is another one: the config is asked for once.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { cacheRoot } from "../core/cache.js";
import type { TrainerConfig } from "../core/config/config.js";
import { reasonOf, TrainerError } from "../core/errors.js";
import { makeFolders, writeFileAtomic } from "../core/files.js";
import type { ConfigSource, RunConfigRecord } from "./files.js";
import { configFromRecord, missingParts, named, type OwnPart } from "./parts.js";

const originShape = z.strictObject({ folder: z.string(), config: z.string(), sha256: z.string() });

const originFile = (folder: string, id: string): string => {
  const key = createHash("sha256").update(`${id}\n${folder}`).digest("hex").slice(0, 32);
  return join(cacheRoot(), "runs", `${key}.json`);
};

/** Remembers the config file of a run; warns where the cache cannot be written, since only a later resume needs it. */
export function rememberOrigin(
  folder: string,
  id: string,
  { path, sha256 }: ConfigSource,
  warn: (message: string) => void,
): void {
  try {
    makeFolders(join(cacheRoot(), "runs"));
    const place = realpathSync(folder);
    writeFileAtomic(originFile(place, id), `${JSON.stringify({ folder: place, config: path, sha256 })}\n`);
  } catch (error) {
    warn(`The config file of this run is not remembered: ${reasonOf(error)} Resume the run with --config ${path}`);
  }
}

/** The config file of a run, where this machine made the run in this folder. */
export function originOf(folder: string, id: string | undefined): ConfigSource | undefined {
  if (typeof id !== "string") return undefined;
  try {
    const place = realpathSync(folder);
    const found = originShape.parse(JSON.parse(readFileSync(originFile(place, id), "utf8")));
    return found.folder === place ? { path: found.config, sha256: found.sha256 } : undefined;
  } catch {
    return undefined; // not made here, or the cache was cleared
  }
}

/**
 * The user's own config of a run that this machine made; undefined if it remembers none.
 *
 * @throws TrainerError ERR_CONFIG for one that has changed since, or is gone
 */
async function rememberedConfig(
  { folder, record }: { folder: string; record: RunConfigRecord },
  own: readonly OwnPart[],
  allowChange: readonly string[],
): Promise<TrainerConfig | undefined> {
  const origin = originOf(folder, record.id);
  if (!origin) return undefined;
  const which = `The run uses parts of its own config (${named(own)}), and ${origin.path}`;
  if (!existsSync(origin.path)) {
    throw new TrainerError(
      "ERR_CONFIG",
      `${which} does not exist any more. Restore it, or pass the config with --config.`,
    );
  }
  const { configHash, loadConfig } = await import("../core/config/load.js"); // a server that needs no code loads no loader
  // Compared before it is executed.
  if (!allowChange.includes("config") && (await configHash(origin.path)) !== origin.sha256) {
    throw new TrainerError(
      "ERR_CONFIG",
      `${which} or a file that it imports has changed since. Restore it, or use it as it is now with --config ${origin.path}`,
    );
  }
  return (await loadConfig(origin.path)).config;
}

/**
 * A run's config from its record; parts of the user's own from `own`, or from the config file that made the run here.
 *
 * @param needed which of the own parts must be there; default all
 * @throws TrainerError ERR_CONFIG for a needed part that was not given
 */
export async function configOfRun(
  run: { readonly folder: string; readonly record: RunConfigRecord },
  {
    own,
    data,
    allowChange = [],
    needed = () => true,
  }: {
    own?: TrainerConfig;
    data?: string;
    allowChange?: readonly string[];
    needed?: (part: OwnPart) => boolean;
  } = {},
): Promise<TrainerConfig> {
  const without = configFromRecord(run.record, own, data);
  const missing = without.missing.filter(needed);
  if (missing.length === 0) return without.config;
  const found = own ? undefined : await rememberedConfig(run, missing, allowChange);
  const whole = configFromRecord(run.record, own ?? found, data);
  const still = whole.missing.filter(needed);
  if (still.length > 0) throw missingParts(still);
  return whole.config;
}

type Needed = (part: OwnPart) => boolean;

/** Parts of a finished run's network: what predicting needs. */
export const inNetwork =
  ({ inference }: RunConfigRecord): Needed =>
  ({ kind, name }) =>
    kind === "model" || (kind === "plugin" && (inference === undefined || inference.includes(name)));

/** The same and the data: what drawing the run's images, or quantizing by them, needs. */
export const inImages =
  (record: RunConfigRecord): Needed =>
  (part) =>
    part.kind === "data" || inNetwork(record)(part);

/** The same, loss and metrics: what evaluating needs. */
export const inEvaluation =
  (record: RunConfigRecord): Needed =>
  (part) =>
    part.kind === "loss" || part.kind === "metric" || inImages(record)(part);

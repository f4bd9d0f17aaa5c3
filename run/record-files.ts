/** Reading what a run says of itself: `config.resolved.json` and `summary.json`, each held against a schema. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { readCheckedJson } from "./checked-json.js";
import { dataRecordShape } from "./data-record.js";
import { type RunConfigRecord, runFiles } from "./files.js";

const part = z.looseObject({ name: z.string(), options: z.record(z.string(), z.unknown()) });

const monitor = z.looseObject({ metric: z.string(), direction: z.enum(["lower", "higher"]) });

/** What this program takes from the file beside the config's own fields, which are checked as a config is. */
export const recordShape = z.looseObject({
  name: z.string(),
  seed: z.number().optional(),
  epochs: z.number().optional(), // absent with maxTime
  data: part,
  model: part,
  optimizer: part,
  // Runs of versions without these used cross entropy and no metrics.
  loss: part.default({ name: "cross-entropy", options: {} }),
  metrics: z.array(part).default([]),
  plugins: z.array(part),
  monitor: monitor.optional(),
  id: z.string().optional(),
  inference: z.array(z.string()).optional(),
  source: z.looseObject({ path: z.string(), sha256: z.string() }).optional(),
  environment: z
    .looseObject({
      backend: z.string(),
      backendVersion: z.string().optional(),
      threads: z.number().optional(),
      node: z.string().optional(),
      platform: z.string().optional(),
      processor: z.string().optional(),
      fitloop: z.string().optional(),
      processes: z.int().positive().optional(),
    })
    .optional(),
  dataset: dataRecordShape.optional(),
  configs: z.array(z.string()).optional(),
  extended: z
    .array(
      z.looseObject({ atStep: z.number(), field: z.enum(["epochs", "maxTime"]), from: z.number(), to: z.number() }),
    )
    .optional(),
});

/** A number again: JSON has NaN and infinities as text. */
const figure = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"]).transform(Number)]);
const metrics = z.looseObject({
  top1: figure,
  top5: figure,
  loss: figure,
  source: z.string(),
  more: z.record(z.string(), figure).optional(),
});
const views = metrics.extend({ singleView: metrics.omit({ source: true }).optional() });

export const summaryShape = z.looseObject({
  parameters: z.number(),
  epochs: z.number(),
  steps: z.number(),
  seconds: z.number(),
  imagesPerSecond: z.number(),
  stopReason: z.string(),
  validation: views.optional(),
  test: views.optional(),
  best: monitor.extend({ value: figure, epoch: z.number(), step: z.number() }).optional(),
  costs: z.record(z.string(), z.object({ millisecondsPerStep: z.number(), share: z.number() })),
});

/**
 * The record in a run's folder.
 *
 * @throws TrainerError ERR_DATA for a folder without one, or a file that is damaged or none
 */
export function readRecord(folder: string): RunConfigRecord {
  const path = join(folder, runFiles.config);
  if (!existsSync(path)) {
    throw new TrainerError(
      "ERR_DATA",
      `${folder} is not a run: it has no ${runFiles.config}. Name the folder of a run, such as runs/cats-1.`,
    );
  }
  return readCheckedJson(path, recordShape) as unknown as RunConfigRecord;
}

/** Whether a run ended before the end that its config gave it, by its `stopReason`. */
export const isCutShort = (stopReason: string): boolean => /^(interrupted \(|failed: )/.test(stopReason);

/** @throws TrainerError ERR_DATA for a file that is damaged or none */
export function readSummary(folder: string): SummaryRecord {
  return readCheckedJson(join(folder, runFiles.summary), summaryShape) as unknown as SummaryRecord;
}

/** What an older version wrote without checksum or fingerprint: one warning for all of it; undefined where there is none. */
export function olderNote(record: RunConfigRecord, unchecked: readonly string[]): string | undefined {
  const without = [...(record.checksum === undefined ? [runFiles.config] : []), ...unchecked];
  const parts = [
    ...(without.length > 0 ? [`no checksum in ${without.join(" and ")}, so damage there goes unnoticed`] : []),
    ...(record.dataset === undefined ? ["no fingerprint of the data, so a change of images goes unnoticed"] : []),
  ];
  return parts.length === 0 ? undefined : `The run comes from an earlier version of fitloop: ${parts.join("; ")}.`;
}

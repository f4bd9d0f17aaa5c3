/** A run's page from its folder, written into it. The folder may come from anybody: nothing in it is believed. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { comparePlaces, namedPlace } from "../run/checkpoint-names.js";
import { toJson } from "../run/json.js";
import { visitMetrics } from "../run/metrics.js";
import { type RunConfigRecord, runFiles } from "../run/record.js";
import { summaryShape } from "../run/record-files.js";
import { pageHtml } from "./html.js";
import { createRunHistory } from "./run-history.js";
import { type Kept, type RunParts, runPage } from "./run-page.js";

export const reportFile = "report.html";
/** Inside a run's folder: what only the report needs. */
export const keptFolder = "report";
export const keptFile = "kept.json";

const part = z.looseObject({ name: z.string(), options: z.record(z.string(), z.unknown()) });
const image = z.object({ path: z.string(), lines: z.array(z.string()), correct: z.boolean() });
const strip = z.object({ path: z.string(), caption: z.string(), columns: z.int().min(1).max(64) });

/** What the page takes from each file; more may be in it. */
const shapes = {
  record: z.looseObject({
    name: z.string(),
    seed: z.number(),
    epochs: z.number(),
    maxSteps: z.number().optional(),
    data: part,
    model: part,
    optimizer: part,
    plugins: z.array(part),
    source: z.looseObject({ path: z.string() }).optional(),
    environment: z
      .looseObject({
        backend: z.string(),
        threads: z.number(),
        node: z.string(),
        processor: z.string().optional(),
        fitloop: z.string().optional(),
      })
      .optional(),
  }),
  kept: z.object({
    command: z.string().optional(),
    plan: z.string().optional(),
    splits: z.record(
      z.string(),
      z
        .object({
          step: z.number(),
          source: z.string(),
          classes: z.array(z.string()),
          counts: z.array(z.number()),
          worst: z.array(image),
        })
        .refine(({ classes, counts }) => counts.length === classes.length ** 2),
    ),
    augmented: strip.optional(),
  }),
};

/** Bytes that a file may have to be read at once: a matrix of a thousand classes has some millions. */
const mostBytes = 1 << 26;

/** @throws what the system refuses, and for what is no file of that size: a pipe would wait, a device never end */
function bytesOf(path: string): Buffer {
  const found = statSync(path);
  if (!found.isFile() || found.size > mostBytes) throw new Error(`${path} is no file of at most ${mostBytes} bytes.`);
  return readFileSync(path);
}

/** @returns the file's content; undefined where it is not there, is no JSON, or is not what a run writes */
function contentOf<T>(path: string, shape: z.ZodType): T | undefined {
  try {
    const content: unknown = JSON.parse(bytesOf(path).toString());
    shape.parse(content);
    toJson(content, 2); // fails where it is nested so deep that no page could hold it
    return content as T;
  } catch {
    return undefined;
  }
}

/** First bytes of the formats that a report has, and what a data URL calls them. */
const imageTypes = [
  { type: "image/png", magic: "\x89PNG" },
  { type: "image/jpeg", magic: "\xff\xd8\xff" },
] as const;

/** Reads a PNG or JPEG of a folder, and nothing outside it: what names it is a file that anybody may have written. */
export function imageReader(folder: string): (path: string) => string | undefined {
  return (path) => {
    try {
      const file = realpathSync(resolve(folder, path)); // a link may lead anywhere
      if (!file.startsWith(realpathSync(folder) + sep)) return undefined;
      const bytes = bytesOf(file);
      const found = imageTypes.find(({ magic }) => bytes.toString("latin1", 0, magic.length) === magic);
      return found && `data:${found.type};base64,${bytes.toString("base64")}`;
    } catch {
      return undefined; // gone, or nothing that can be read: the page does without
    }
  };
}

/** @returns the step of the newest checkpoint by its name; undefined where there is none */
export function newestCheckpoint(folder: string): number | undefined {
  try {
    const places = readdirSync(join(folder, runFiles.checkpoints)).flatMap((name) => namedPlace(name) ?? []);
    return places.sort(comparePlaces).at(-1)?.step;
  } catch {
    return undefined; // no checkpoints yet, or no folder
  }
}

/** The run's config as the page takes it; undefined where it is damaged or not there. */
export const readRecord = (folder: string): RunConfigRecord | undefined =>
  contentOf<RunConfigRecord>(join(folder, runFiles.config), shapes.record);

/** What a run's `report/kept.json` holds, where it is whole. */
export const readKept = (folder: string): Kept =>
  contentOf<Kept>(join(folder, keptFolder, keptFile), shapes.kept) ?? { splits: {} };

/** What a folder holds of a run. What is damaged there counts up to where it is. @throws TrainerError ERR_DATA */
export function readRun(folder: string, running: boolean): RunParts & { problem?: string } {
  const at = (name: string): string => join(folder, name);
  if (!existsSync(at(runFiles.config)) && !existsSync(at(runFiles.metrics))) {
    throw new TrainerError(
      "ERR_DATA",
      `${folder} is not the folder of a run: expected ${runFiles.config} or ${runFiles.metrics} in it, found neither.`,
    );
  }
  const history = createRunHistory();
  const problem = visitMetrics(at(runFiles.metrics), (line) => history.add(line));
  const found = contentOf<SummaryRecord>(at(runFiles.summary), summaryShape);
  // The summary of an interrupted run stays while it is resumed: it is of fewer steps than are done.
  const done = history.steps.buckets.at(-1)?.step ?? 0;
  const summary = running || (found && found.steps < done) ? undefined : found;
  return {
    folder,
    history,
    record: readRecord(folder),
    summary,
    kept: readKept(folder),
    status: running ? "running" : summary ? "ended" : "broke off",
    checkpoint: newestCheckpoint(folder),
    image: imageReader(folder),
    problem,
  };
}

/** @returns the path written */
export function writeReport(parts: RunParts): string {
  const path = join(parts.folder, reportFile);
  writeFileAtomic(path, pageHtml(runPage(parts)));
  return path;
}

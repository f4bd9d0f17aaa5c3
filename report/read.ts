/** A run's page from its folder, written into it. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { toJson } from "../run/json.js";
import { visitMetrics } from "../run/metrics.js";
import { type RunConfigRecord, runFiles } from "../run/record.js";
import { pageHtml } from "./html.js";
import { createTold, type Kept, type RunParts, runPage } from "./run-page.js";

export const reportFile = "report.html";
/** Inside a run's folder: what only the report needs. */
export const keptFolder = "report";
export const keptFile = "kept.json";

const figure = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"])]); // as JSON has it
const metrics = z.looseObject({ top1: figure, top5: figure, loss: figure, source: z.string() });
const views = metrics.extend({ singleView: metrics.omit({ source: true }).optional() });
const part = z.looseObject({ name: z.string(), options: z.record(z.string(), z.unknown()) });
const picture = z.object({ path: z.string(), caption: z.string() });

/** What the page takes from each file; more may be in it. */
const shapes = {
  record: z.looseObject({
    name: z.string(),
    seed: z.number(),
    epochs: z.number(),
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
  summary: z.looseObject({
    parameters: z.number(),
    epochs: z.number(),
    steps: z.number(),
    seconds: z.number(),
    imagesPerSecond: z.number(),
    stopReason: z.string(),
    validation: views.optional(),
    test: views.optional(),
    costs: z.record(z.string(), z.object({ millisecondsPerStep: z.number(), share: z.number() })),
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
          worst: z.array(picture),
        })
        .refine(({ classes, counts }) => counts.length === classes.length ** 2),
    ),
    augmented: picture.optional(),
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

/** Reads a PNG of a folder, and nothing outside it: what names it is a file that anybody may have written. */
export function pictureReader(folder: string): (path: string) => string | undefined {
  return (path) => {
    try {
      const file = realpathSync(resolve(folder, path)); // a link may lead anywhere
      if (!file.startsWith(realpathSync(folder) + sep)) return undefined;
      const bytes = bytesOf(file);
      if (bytes.subarray(1, 4).toString("latin1") !== "PNG") return undefined;
      return `data:image/png;base64,${bytes.toString("base64")}`;
    } catch {
      return undefined; // gone, or nothing that can be read: the page does without
    }
  };
}

/** What a run's `report/kept.json` holds, where it is whole. */
export const readKept = (folder: string): Kept =>
  contentOf<Kept>(join(folder, keptFolder, keptFile), shapes.kept) ?? { splits: {} };

/** What a folder holds of a run. What is damaged there counts up to where it is. @throws TrainerError ERR_DATA */
export function readRun(folder: string, running: boolean): RunParts & { problem?: string } {
  const at = (name: string): string => join(folder, name);
  if (!existsSync(at(runFiles.config)) && !existsSync(at(runFiles.metrics))) {
    throw new TrainerError("ERR_DATA", `${folder} is no run: it has no ${runFiles.config} and no ${runFiles.metrics}.`);
  }
  const told = createTold();
  const problem = visitMetrics(at(runFiles.metrics), (line) => told.add(line));
  const found = contentOf<SummaryRecord>(at(runFiles.summary), shapes.summary);
  // The summary of an interrupted run stays while it goes on: it is of fewer steps than are done.
  const done = told.steps.buckets.at(-1)?.step ?? 0;
  const summary = running || (found && found.steps < done) ? undefined : found;
  return {
    folder,
    told,
    record: contentOf<RunConfigRecord>(at(runFiles.config), shapes.record),
    summary,
    kept: readKept(folder),
    status: running ? "running" : summary ? "ended" : "broke off",
    picture: pictureReader(folder),
    problem,
  };
}

/** @returns the path written */
export function writeReport(parts: RunParts): string {
  const path = join(parts.folder, reportFile);
  writeFileAtomic(path, pageHtml(runPage(parts)));
  return path;
}

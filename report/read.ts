/** A run's page from its folder, written into it. The folder may come from anybody: nothing in it is believed. */
import { existsSync, realpathSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { z } from "zod";
import { reasonOf, TrainerError } from "../core/errors.js";
import { readWhole, writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { readCheckedJson } from "../run/checked-json.js";
import { listCheckpoints } from "../run/checkpoints.js";
import { type RunConfigRecord, runFiles } from "../run/files.js";
import { visitMetrics } from "../run/metrics.js";
import { recordShape, summaryShape } from "../run/record-files.js";
import { pageHtml } from "./html.js";
import type { Kept } from "./kept.js";
import { createRunHistory } from "./run-history.js";
import { type RunParts, runPage } from "./run-page.js";

export const reportFile = "report.html";
/** Inside a run's folder: what only the report needs. */
export const keptFolder = "report";
export const keptFile = "kept.json";

const image = z.object({ path: z.string(), lines: z.array(z.string()), correct: z.boolean() });
const strip = z.object({ path: z.string(), caption: z.string(), columns: z.int().min(1).max(64) });

/** What the page takes from the file; more may be in it. */
const keptShape = z.object({
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
        worstStep: z.number().optional(),
      })
      .refine(({ classes, counts }) => counts.length === classes.length ** 2, "expected a count for each two classes"),
  ),
  augmented: strip.optional(),
  checksum: z.string().optional(),
});

/** Bytes that an image may have. */
const mostBytes = 1 << 26;

/** A file of a run, or the sentence that says why a page does without it; neither where there is none. */
interface Found<T> {
  readonly content?: T;
  readonly problem?: string;
}

function contentOf<T>(path: string, shape: z.ZodType): Found<T> {
  if (!existsSync(path)) return {};
  try {
    return { content: readCheckedJson(path, shape) as T };
  } catch (error) {
    return { problem: reasonOf(error) };
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
      const bytes = readWhole(file, { most: mostBytes });
      const found = imageTypes.find(({ magic }) => bytes.toString("latin1", 0, magic.length) === magic);
      return found && `data:${found.type};base64,${bytes.toString("base64")}`;
    } catch {
      return undefined; // gone, or nothing that can be read: the page does without
    }
  };
}

/** The step of the newest checkpoint, by its name. */
export function newestStep(folder: string): Found<number> {
  try {
    return { content: listCheckpoints(join(folder, runFiles.checkpoints)).at(-1)?.step };
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

/** The run's config. */
export const readRecord = (folder: string): Found<RunConfigRecord> =>
  contentOf(join(folder, runFiles.config), recordShape);

/** What only the report needs. */
export const readKept = (folder: string): Found<Kept> => contentOf(join(folder, keptFolder, keptFile), keptShape);

/** What a folder holds of a run. What is damaged there is left out, and `problems` says so. @throws TrainerError ERR_DATA */
export function readRun(folder: string, running: boolean): RunParts & { readonly problems: readonly string[] } {
  const at = (name: string): string => join(folder, name);
  if (!existsSync(at(runFiles.config)) && !existsSync(at(runFiles.metrics))) {
    throw new TrainerError(
      "ERR_DATA",
      `${folder} is not the folder of a run: expected ${runFiles.config} or ${runFiles.metrics} in it, got neither.`,
    );
  }
  const history = createRunHistory();
  const cut = visitMetrics(at(runFiles.metrics), (line) => history.add(line));
  const record = readRecord(folder);
  const ended = contentOf<SummaryRecord>(at(runFiles.summary), summaryShape);
  const kept = readKept(folder);
  const checkpoint = newestStep(folder);
  // The summary of an interrupted run stays while it is resumed: it is of fewer steps than are done.
  const done = history.steps.buckets.at(-1)?.step ?? 0;
  const summary = running || (ended.content && ended.content.steps < done) ? undefined : ended.content;
  const status = running
    ? "running"
    : summary
      ? "ended"
      : ended.problem !== undefined
        ? "summary damaged"
        : "broke off";
  const left = [record, ended, kept, checkpoint].flatMap(({ problem }) =>
    problem === undefined ? [] : [`${problem} It is left out.`],
  );
  const unchecked = Object.entries({
    [runFiles.config]: record.content,
    [runFiles.summary]: ended.content,
    [`${keptFolder}/${keptFile}`]: kept.content,
  }).flatMap(([name, content]) => (content && !("checksum" in content) ? [name] : []));
  const problems = [
    ...(cut === undefined ? [] : [`${cut} What comes before it is shown.`]),
    ...left,
    ...(unchecked.length > 0
      ? [
          `${folder}: no checksum in ${unchecked.join(", ")}, so damage there goes unnoticed (fitloop 0.1.0 wrote none).`,
        ]
      : []),
  ];
  return {
    folder,
    history,
    record: record.content,
    summary,
    kept: kept.content ?? { splits: {} },
    status,
    checkpoint: checkpoint.content,
    image: imageReader(folder),
    problems,
  };
}

/** @returns the path written */
export function writeReport(parts: RunParts): string {
  const path = join(parts.folder, reportFile);
  writeFileAtomic(path, pageHtml(runPage(parts)));
  return path;
}

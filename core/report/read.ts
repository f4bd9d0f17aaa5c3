/** A run's page from its folder, written into it. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { TrainerError } from "../errors.js";
import type { SummaryRecord } from "../loop/events.js";
import { writeFileAtomic } from "../run/files.js";
import { readMetrics } from "../run/metrics.js";
import { runFiles, type RunConfigRecord } from "../run/record.js";
import { pageHtml } from "./html.js";
import { createTold, runPage, type Kept, type RunParts } from "./run-page.js";

export const reportFile = "report.html";
/** Inside a run's folder: what only the report needs. */
export const keptFolder = "report";
export const keptFile = "kept.json";

/** @returns the parsed file; undefined where it is not there or is no JSON */
function jsonOf<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}

/** Reads a PNG of a folder, and nothing outside it: what names it is a file that anybody may have written. */
export function pictureReader(folder: string): (path: string) => string | undefined {
  const root = resolve(folder) + sep;
  return (path) => {
    const file = resolve(folder, path);
    if (!file.startsWith(root) || !existsSync(file)) return undefined;
    const bytes = readFileSync(file);
    if (bytes.subarray(1, 4).toString("latin1") !== "PNG") return undefined;
    return `data:image/png;base64,${bytes.toString("base64")}`;
  };
}

/** What a folder holds of a run. What is damaged there counts up to where it is. @throws TrainerError ERR_DATA */
export function readRun(folder: string, running: boolean): RunParts & { problem?: string } {
  const at = (name: string): string => join(folder, name);
  if (!existsSync(at(runFiles.config)) && !existsSync(at(runFiles.metrics))) {
    throw new TrainerError("ERR_DATA", `${folder} is no run: it has no ${runFiles.config} and no ${runFiles.metrics}.`);
  }
  const told = createTold();
  const { lines, problem } = readMetrics(at(runFiles.metrics));
  for (const line of lines) told.add(line);
  const summary = jsonOf<SummaryRecord>(at(runFiles.summary));
  const kept = jsonOf<Partial<Kept>>(join(folder, keptFolder, keptFile));
  return {
    folder,
    told,
    record: jsonOf<RunConfigRecord>(at(runFiles.config)),
    summary,
    kept: { splits: {}, ...kept },
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

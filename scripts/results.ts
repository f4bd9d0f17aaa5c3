/**
 * Adds finished runs to results/runs.csv, one line a run: `npm run results -- [--commit HASH] [--preset NAME] RUN…`. The
 * commit is the one that trained the run; default: the one checked out. NAME is for runs of `trainer --data FOLDER`, which are
 * named after their folder.
 *
 * PFLOP is calculated: 6 × multiply-adds × training images at the size of each epoch (Kaplan et al. 2020 count so:
 * 2 for a multiply-add, once forward and twice backward). A line with the same preset, seed and commit is replaced.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend, Trainer } from "../core/index.js";
import { buildModel } from "../core/loop/build-model.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { forward, zeroWeights } from "../core/nn/layer.js";
import { deviation, mean } from "../core/statistics.js";
import { sizeAt } from "../plugins/progressive-resizing/index.js";
import { type RunConfigRecord, runFiles } from "../run/files.js";
import { visitMetrics } from "../run/metrics.js";
import { configFromRecord } from "../run/parts.js";
import { readPreprocessing } from "../run/preprocessing.js";
import { readRecord, readSummary } from "../run/record-files.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const csv = join(root, "results/runs.csv");

export const columns = [
  "preset",
  "seed",
  "test_top1",
  "test_top1_one_view",
  "validation_top1",
  "epochs",
  "pflop",
  "seconds",
  "images_per_second",
  "parameters",
  "precision",
  "threads",
  "processor",
  "weights",
  "version",
  "commit",
  "date",
] as const;

/** One run. Accuracy in per cent. */
export type ResultRow = Record<(typeof columns)[number], string>;

/** The rows of a file, without its head. */
export function parseRows(text: string): ResultRow[] {
  const [, ...lines] = text.trim().split("\n");
  return lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? ""])) as ResultRow;
  });
}

export function formatRows(rows: readonly ResultRow[]): string {
  const plain = (cell: string): string => cell.replaceAll(/[,\n]/g, " ");
  return [columns.join(","), ...rows.map((row) => columns.map((column) => plain(row[column])).join(","))].join("\n");
}

/** Adds rows; each takes the place of the one with its preset, seed and commit. Sorted by preset, commit and seed. */
export function merged(rows: readonly ResultRow[], added: readonly ResultRow[]): ResultRow[] {
  const key = ({ preset, commit, seed }: ResultRow): string => `${preset} ${commit} ${seed.padStart(10, "0")}`;
  const all = new Map([...rows, ...added].map((row) => [key(row), row]));
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

/** Mean and sample deviation over rows, to a tenth of a per cent; of one row the deviation is 0. */
export function accuracyOf(rows: readonly ResultRow[]): { mean: number; deviation: number; seeds: number[] } {
  const values = rows.map(({ test_top1 }) => Number(test_top1));
  const tenth = (value: number): number => Math.round(10 * value) / 10;
  return {
    mean: tenth(mean(values)),
    deviation: values.length === 1 ? 0 : tenth(deviation(values)),
    seeds: rows.map(({ seed }) => Number(seed)).sort((a, b) => a - b),
  };
}

/** Multiply-adds of one image at each size that a run trains at. */
function multiplyAdds(record: RunConfigRecord, sizes: readonly number[], classes: number): Map<number, number> {
  const trainer = new Trainer(configFromRecord(record).config);
  const { layer } = buildModel(trainer.config, trainer.hooks.call, { classes, inputSize: Math.max(...sizes) });
  const weights = zeroWeights(layer);
  return new Map(
    [...new Set(sizes)].map((size) => {
      let sum = 0;
      tf.tidy(() => {
        forward(layer, tf.zeros([1, size, size, 3]), {
          weights,
          uniform: (_, shape) => tf.zeros(shape),
          onCount: (_, number) => (sum += number),
        });
      });
      return [size, sum];
    }),
  );
}

/** Training images of each epoch, from the run's metrics. */
function imagesByEpoch(folder: string, epochs: number): number[] {
  const images = Array.from({ length: epochs }, () => 0);
  const problem = visitMetrics(join(folder, runFiles.metrics), ({ event, epoch, samples }) => {
    if (event === "step") images[epoch as number]! += samples as number;
  });
  if (problem !== undefined) throw new Error(problem);
  return images;
}

function rowOf(folder: string, commit: string, date: string, preset?: string): ResultRow {
  const record = readRecord(folder);
  const summary: SummaryRecord = readSummary(folder);
  const { test, validation } = summary;
  if (!test) throw new Error(`${folder} has no test figures.`);
  const { epochs } = record;
  if (epochs === undefined)
    throw new Error(`${folder} followed measured time (maxTime), and the table is of runs that repeat.`);
  const { classes, inputSize } = readPreprocessing(readFileSync(join(folder, runFiles.weights)), folder);
  const resizing = record.plugins.find(({ name }) => name === "progressive-resizing");
  const sizes = Array.from({ length: epochs }, (_, epoch) =>
    resizing ? sizeAt(inputSize, epoch, epochs, resizing.options as { from: number; fullFor: number }) : inputSize,
  );
  const costs = multiplyAdds(record, sizes, classes.length);
  const flop = imagesByEpoch(folder, epochs).reduce(
    (sum, images, epoch) => sum + 6 * images * costs.get(sizes[epoch]!)!,
    0,
  );
  const percent = (share: number | string): string => (100 * Number(share)).toFixed(2);
  return {
    preset: preset ?? record.name,
    seed: String(record.seed),
    test_top1: percent(test.top1),
    test_top1_one_view: percent((test.singleView ?? test).top1),
    validation_top1: validation ? percent(validation.top1) : "",
    epochs: String(epochs),
    pflop: (flop / 1e15).toFixed(3),
    seconds: summary.seconds.toFixed(0),
    images_per_second: summary.imagesPerSecond.toFixed(0),
    parameters: String(summary.parameters),
    precision: record.precision ?? "float32",
    threads: String(record.environment?.threads ?? ""),
    processor: record.environment?.processor ?? "",
    weights: test.source,
    version: record.environment?.fitloop ?? "",
    commit,
    date,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals: folders } = parseArgs({
    options: { commit: { type: "string" }, preset: { type: "string" } },
    allowPositionals: true,
  });
  if (folders.length === 0) throw new Error("Usage: npm run results -- [--commit HASH] [--preset NAME] RUN…");
  await loadBackend();
  const wanted = values.commit ?? "HEAD";
  const commit = execFileSync("git", ["rev-parse", "--short", wanted], { cwd: root, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const added = folders.map((folder) => rowOf(folder, commit, date, values.preset));
  const rows = merged(existsSync(csv) ? parseRows(readFileSync(csv, "utf8")) : [], added);
  writeFileSync(csv, `${formatRows(rows)}\n`);
  console.log(formatRows(added));
}

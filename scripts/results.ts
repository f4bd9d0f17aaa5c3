/**
 * Adds finished runs to a table of results/, one line a run:
 *
 *     npm run results -- [--commit HASH] [--preset NAME] RUN…     to runs.csv
 *     npm run results -- [--commit HASH] --ablation NAME FOLDER   to ablations.csv, the finished runs of `trainer ablate --out FOLDER`
 *
 * The commit is the one that trained the run; default: the one checked out. `--preset` is for runs of `trainer --data FOLDER`,
 * which are named after their folder.
 *
 * PFLOP is calculated: 6 × multiply-adds × training images at the size of each epoch (Kaplan et al. 2020 count so:
 * 2 for a multiply-add, once forward and twice backward). A line of the same run and commit is replaced.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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
import { isCutShort, readRecord, readSummary } from "../run/record-files.js";
import { formatRows, merged, parseRows, type Row } from "./tables.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What any run has. */
const measured = [
  "validation_top1",
  "epochs",
  "pflop",
  "seconds",
  "images_per_second",
  "parameters",
  "precision",
  "threads",
  "processor",
] as const;
const origin = ["version", "commit", "date"] as const;

export const runColumns = [
  "preset",
  "seed",
  "test_top1",
  "test_top1_one_view",
  ...measured,
  "weights",
  ...origin,
] as const;
export const ablationColumns = ["ablation", "arm", "seed", ...measured, ...origin] as const;

/** One run of a preset. Accuracy in per cent. */
export type RunRow = Row<(typeof runColumns)[number]>;
/** One run of an ablation, which does not look at the test set. */
export type AblationRow = Row<(typeof ablationColumns)[number]>;

/** Mean and sample deviation over rows, to a tenth of a per cent; of one row the deviation is 0. */
export function accuracyOf(rows: readonly Pick<RunRow, "seed" | "test_top1">[]): {
  mean: number;
  deviation: number;
  seeds: number[];
} {
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

const percent = (share: number | string): string => (100 * Number(share)).toFixed(2);

function measuredOf(folder: string, record: RunConfigRecord, summary: SummaryRecord): Row<(typeof measured)[number]> {
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
  return {
    validation_top1: summary.validation ? percent(summary.validation.top1) : "",
    epochs: String(epochs),
    pflop: (flop / 1e15).toFixed(3),
    seconds: summary.seconds.toFixed(0),
    images_per_second: summary.imagesPerSecond.toFixed(0),
    parameters: String(summary.parameters),
    precision: record.precision ?? "float32",
    threads: String(record.environment?.threads ?? ""),
    processor: record.environment?.processor ?? "",
  };
}

type Commit = Pick<RunRow, "commit" | "date">;
const versionOf = ({ environment }: RunConfigRecord): string => environment?.fitloop ?? "";

function runRow(folder: string, commit: Commit, preset?: string): RunRow {
  const record = readRecord(folder);
  const summary: SummaryRecord = readSummary(folder);
  const { test } = summary;
  if (!test) throw new Error(`${folder} has no test figures.`);
  return {
    preset: preset ?? record.name,
    seed: String(record.seed),
    test_top1: percent(test.top1),
    test_top1_one_view: percent((test.singleView ?? test).top1),
    ...measuredOf(folder, record, summary),
    weights: test.source,
    version: versionOf(record),
    ...commit,
  };
}

/** @param name of the run's folder: arm and seed, as `trainer ablate` names it */
function ablationRow(folder: string, name: string, ablation: string, commit: Commit): AblationRow {
  const record = readRecord(folder);
  const seed = String(record.seed);
  const arm = name.slice(0, -seed.length - 1);
  const figures = measuredOf(folder, record, readSummary(folder));
  return { ablation, arm, seed, ...figures, version: versionOf(record), ...commit };
}

/** Adds rows to a table and prints them. */
function add<Column extends string>(
  name: string,
  columns: readonly Column[],
  added: readonly Row<Column>[],
  keys: readonly Column[],
): void {
  const csv = join(root, "results", name);
  const rows = merged(existsSync(csv) ? parseRows(readFileSync(csv, "utf8"), columns) : [], added, keys);
  writeFileSync(csv, `${formatRows(rows, columns)}\n`);
  console.log(formatRows(added, columns));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals: folders } = parseArgs({
    options: { commit: { type: "string" }, preset: { type: "string" }, ablation: { type: "string" } },
    allowPositionals: true,
  });
  const { ablation, preset } = values;
  if (folders.length === 0 || (ablation !== undefined && folders.length > 1))
    throw new Error(
      "Usage: npm run results -- [--commit HASH] [--preset NAME] RUN…\n" +
        "       npm run results -- [--commit HASH] --ablation NAME FOLDER",
    );
  await loadBackend();
  const wanted = ["rev-parse", "--short", values.commit ?? "HEAD"];
  const commit = {
    commit: execFileSync("git", wanted, { cwd: root, encoding: "utf8" }).trim(),
    date: new Date().toISOString().slice(0, 10),
  };
  if (ablation === undefined) {
    const rows = folders.map((folder) => runRow(folder, commit, preset));
    add("runs.csv", runColumns, rows, ["preset", "commit", "seed", "epochs"]);
  } else {
    const [folder] = folders as [string];
    const ended = readdirSync(folder).filter((name) => existsSync(join(folder, name, runFiles.summary)));
    const finished = ended.filter((name) => !isCutShort(readSummary(join(folder, name)).stopReason));
    const rows = finished.map((name) => ablationRow(join(folder, name), name, ablation, commit));
    add("ablations.csv", ablationColumns, rows, ["ablation", "arm", "seed"]);
  }
}

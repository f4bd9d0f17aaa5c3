/** Keeps what a run's report needs, and writes the report: at the start, after each epoch, and at the end. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Picture, Split } from "../core/data/dataset.js";
import { asPicture, normalised } from "../core/data/normalise.js";
import { writeFileAtomic } from "../core/files.js";
import { confusion, saidOf } from "../core/interpret/confusion.js";
import { gradCam } from "../core/interpret/grad-cam.js";
import { overlay, rowPng } from "../core/interpret/overlay.js";
import type { Plugin } from "../core/loop/plugin.js";
import { fitEndRecord } from "../core/loop/summary.js";
import type { Evaluation, FitContext, Outputs } from "../core/loop/types.js";
import { resize } from "../core/nn/ops.js";
import { toJson } from "../run/json.js";
import { visitMetrics } from "../run/metrics.js";
import { type RunConfigRecord, runFiles } from "../run/record.js";
import { keptFile, keptFolder, pictureReader, readKept, reportFile, writeReport } from "./read.js";
import { createTold, type Kept, type PictureRecord, type RunParts, type SplitRecord } from "./run-page.js";

/** Pictures in a row of augmented ones, and those of a split with the least probability that are drawn, wrong or not. */
const shownAugmented = 12;
const shownWorst = 12;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A plugin like any other, but one that the command line adds and no config names. It only watches.
 *
 * @param command as typed, to repeat the run
 */
export function createReport({ command }: { command?: string } = {}): Plugin {
  return {
    name: "report",
    options: {},
    observer: true,
    apply({ hooks, events }) {
      let run: FitContext | undefined;
      let parts: Mutable<RunParts> | undefined;
      let kept: Mutable<Kept> = { command, splits: {} };
      let evaluation: Evaluation | undefined;
      let outputs: Outputs | undefined;
      let seen: Picture[] = []; // of this epoch, as the network saw them
      let failure: unknown; // of a listener, which must not throw: the next tap does
      const fresh = new Map<string, { found: Outputs; purpose: string }>(); // whose pictures are to be drawn

      const guarded = (work: () => void): void => {
        if (failure !== undefined || !parts) return;
        try {
          work();
        } catch (cause) {
          failure = cause;
        }
      };
      const report = (): void => {
        if (failure !== undefined) throw failure;
      };
      const inFolder = (...names: string[]): string => join(run!.folder!, keptFolder, ...names);

      // Last, and after the run's record: the metrics it goes on with are cut back by then.
      hooks.onFitStart.tap({ stage: "last" }, (started) => {
        if (started.folder === undefined) return;
        run = started;
        mkdirSync(inFolder(), { recursive: true });
        kept = { command, ...readKept(started.folder) }; // what began the run repeats it, not what resumed it
        kept.plan = started.plan();
        writeFileAtomic(inFolder(keptFile), toJson(kept));
        const told = createTold();
        visitMetrics(join(started.folder, runFiles.metrics), (line) => told.add(line));
        const record = JSON.parse(readFileSync(join(started.folder, runFiles.config), "utf8")) as RunConfigRecord;
        parts = {
          folder: started.folder,
          told,
          record,
          kept,
          status: "running",
          picture: pictureReader(started.folder),
        };
        writeReport(parts);
      });
      events.on("step", (step) => guarded(() => parts!.told.add({ event: "step", ...step })));
      events.on("warning", (warning) => guarded(() => parts!.told.add({ event: "warning", ...warning })));
      events.on("epoch:end", (epoch) =>
        guarded(() => {
          parts!.told.add({ event: "epoch:end", ...epoch });
          writeReport(parts!);
        }),
      );
      // Last: what the network is given.
      hooks.beforeBatch.tap({ stage: "last" }, (batch) => {
        report();
        if (run?.folder !== undefined && seen.length === 0) seen = denormalised(batch.images, run);
        return batch;
      });
      hooks.beforeEvaluate.tap({ stage: "last" }, (asked) => (evaluation = asked));
      hooks.afterEvaluate.tap({ stage: "last" }, (metrics) => {
        outputs = metrics.outputs;
        return metrics;
      });
      events.on("evaluate:end", ({ purpose, step, source }) =>
        guarded(() => {
          if (!outputs) return;
          const split = purpose === "test" ? "test" : "held out";
          const { classes } = run!.data;
          const counts = [...confusion(outputs, classes.length)];
          const record: SplitRecord = { step, source, classes, counts, worst: [] };
          kept.splits = { ...kept.splits, [split]: record };
          fresh.set(split, { found: outputs, purpose });
          outputs = undefined;
        }),
      );

      let warned = false;
      /** A network that Grad-CAM cannot look into costs the report its worst pictures, and nothing else. */
      const orNone = async (split: string, drawn: () => Promise<PictureRecord[]>): Promise<PictureRecord[]> => {
        try {
          return await drawn();
        } catch (error) {
          const message = `The worst pictures (${split}) are not drawn: ${error instanceof Error ? error.message : String(error)}`;
          if (!warned) events.emit("warning", { message });
          warned = true;
          return [];
        }
      };

      const drawAll = async (step: number): Promise<void> => {
        report();
        if (!run || !parts) return;
        const emit = (tag: string, { path, caption }: PictureRecord): void =>
          events.emit("picture", { step, tag, path, caption });
        if (seen.length > 0) {
          writeFileSync(inFolder("augmented.png"), await rowPng(seen, 96));
          kept.augmented = {
            path: `${keptFolder}/augmented.png`,
            caption: `of a micro-batch of the epoch that ended at step ${step}`,
          };
          emit("augmented", kept.augmented);
          seen = [];
        }
        const weights = evaluation?.weights ?? run.weights();
        for (const [split, { found, purpose }] of fresh) {
          const worst = await orNone(split, () => drawWorst(run!, weights, split, found, inFolder()));
          // What a run ends with is looked at where its last epoch was: a tag of its own, since steps are the same.
          const group = purpose === "final" ? "worst, at the end" : `worst, ${split}`;
          worst.forEach((each, place) => emit(`${group}/${place + 1}`, each));
          kept.splits = { ...kept.splits, [split]: { ...kept.splits[split]!, worst } };
        }
        fresh.clear();
        evaluation = undefined; // its weights may be gone after the next step
        writeFileAtomic(inFolder(keptFile), toJson(kept));
      };
      hooks.onEpochEnd.tap(({ step }) => drawAll(step));
      // Early, so that whoever logs pictures still does; the page is written last, after the run's own record.
      hooks.onFitEnd.tap({ stage: "early" }, async ({ steps, stopReason }) => {
        if (!stopReason.startsWith("failed")) await drawAll(steps);
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        report();
        if (!parts) return;
        if (summary.steps === 0 && summary.stopReason.startsWith("failed")) {
          // As the run's record: of a run that failed before its first step nothing stays.
          rmSync(join(run!.folder!, reportFile), { force: true });
          rmSync(inFolder(), { recursive: true, force: true });
          return;
        }
        parts.status = "ended";
        parts.summary = fitEndRecord(summary);
        writeReport(parts);
      });
    },
  };
}

/** Bytes of the first pictures of a batch, as they were before they were normalised. */
function denormalised(images: tf.Tensor4D, { data: { mean, deviation } }: FitContext): Picture[] {
  const count = Math.min(shownAugmented, images.shape[0]);
  const [, height, width] = images.shape;
  const values = tf.tidy(() => images.slice(0, count).dataSync()) as Float32Array;
  const area = height * width * 3;
  return Array.from({ length: count }, (_, at) =>
    asPicture(values.subarray(at * area, (at + 1) * area), { height, width, mean, deviation }),
  );
}

/** The pictures whose true class was given the least probability, each beside its map for what was said. */
async function drawWorst(
  { data, model, inputSize, heldIndices }: FitContext,
  weights: ReadonlyMap<string, tf.Tensor>,
  split: string,
  { probabilities, labels }: Outputs,
  folder: string,
): Promise<PictureRecord[]> {
  const { classes, height, width } = data;
  const own = (row: number): number => probabilities[row * classes.length + labels[row]!]!;
  const rows = Array.from(labels, (_, row) => row)
    .filter((row) => Number.isFinite(own(row)))
    .sort((a, b) => own(a) - own(b))
    .slice(0, shownWorst);
  if (rows.length === 0) return [];
  const [source, places]: [Split, number[]] =
    split === "test" ? [data.test!, rows] : [data.train, rows.map((row) => heldIndices[row]!)];
  const pictures = await source.read(places);
  const answers = rows.map((row) => saidOf(probabilities, row, classes.length));
  const maps = tf.tidy(() => {
    const images = resize(
      tf.tensor4d(normalised(pictures, data), [rows.length, height, width, 3]),
      inputSize,
      inputSize,
    ) as tf.Tensor4D;
    return gradCam({
      model,
      weights,
      images,
      classes: answers,
      size: [height, width],
    }).upsampled.dataSync() as Float32Array;
  });
  const area = height * width;
  const name = split.replaceAll(" ", "-");
  return Promise.all(
    pictures.map(async (picture, at): Promise<PictureRecord> => {
      const file = `worst-${name}-${String(at + 1).padStart(2, "0")}.png`;
      const drawn = overlay(picture, maps.subarray(at * area, (at + 1) * area));
      writeFileSync(join(folder, file), await rowPng([picture, drawn], 96));
      const share = (100 * own(rows[at]!)).toFixed(1);
      const caption = `${classes[labels[rows[at]!]!]} (${share} %), said ${classes[answers[at]!]}; ${source.describe(places[at]!)}`;
      return { path: `${keptFolder}/${file}`, caption };
    }),
  );
}

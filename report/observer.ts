/** Stores what a run's report needs, and writes the report: at the start, now and then, after each epoch, at the end. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import type { Image } from "../core/data/dataset.js";
import { asImage } from "../core/data/normalise.js";
import { writeFileAtomic } from "../core/files.js";
import { confusion } from "../core/interpret/confusion.js";
import { rowPng } from "../core/interpret/overlay.js";
import type { Plugin } from "../core/loop/plugin.js";
import { fitEndRecord } from "../core/loop/summary.js";
import type { Evaluation, FitContext, Outputs } from "../core/loop/types.js";
import { valuesOf } from "../core/nn/values.js";
import { toCheckedJson } from "../run/checked-json.js";
import { runFiles } from "../run/files.js";
import { visitMetrics } from "../run/metrics.js";
import { leavesNothing } from "../run/record.js";
import type { Kept, SplitRecord } from "./kept.js";
import {
  imageReader,
  keptFile,
  keptFolder,
  newestStep,
  readKept,
  readRecord,
  reportFile,
  writeReport,
} from "./read.js";
import { createRunHistory } from "./run-history.js";
import type { RunParts } from "./run-page.js";
import { drawWorst, type Evaluated, type WorstImage } from "./worst-images.js";

/** Training images in a strip. */
const shownAugmented = 12;

/** Between two writes within an epoch: seconds at the least, and what a write takes so many times. */
const [writeEvery, writeShare] = [15, 200];

/**
 * Worst images wait for a later epoch until what they take is at most one part in so many of the time since the last ones. The
 * run's end draws them in any case.
 */
const drawShare = 20;

/** An evaluation, and the weights that it was of: they are gone after the next step. */
interface Fresh {
  readonly outputs: Outputs;
  readonly purpose: string;
  readonly weights?: Evaluated["weights"];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A plugin like any other, but one that no config names. It only watches.
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
      let seen: Image[] = []; // of this epoch's first micro-batch, as the network saw them
      let failure: unknown; // of a listener, which must not throw: the next tap does
      const fresh = new Map<string, Fresh>(); // splits whose worst images are to be drawn
      let written = { at: 0, took: 0 }; // milliseconds
      let drawn = { at: 0, took: 0 };

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

      const writeKept = (): void => writeFileAtomic(inFolder(keptFile), toCheckedJson(kept));

      const write = (): void => {
        const from = performance.now();
        writeReport({ ...parts!, folder: run!.folder! }); // throws where the run has lost its folder
        const at = performance.now();
        written = { at, took: at - from };
      };

      // Last, and after the run's record: the metrics that a resumed run continues are cut back by then.
      hooks.onFitStart.tap({ stage: "last" }, (started) => {
        if (started.folder === undefined) return;
        const plan = started.plan(); // before anything is written: a schedule that fails ends the run here
        run = started;
        mkdirSync(inFolder(), { recursive: true });
        const before = readKept(started.folder);
        if (before.problem !== undefined) events.emit("warning", { message: `${before.problem} It is written anew.` });
        const { checksum: _, ...found } = before.content ?? { splits: {} };
        kept = { command, ...found }; // what began the run repeats it, not what resumed it
        kept.plan = plan;
        writeKept();
        const history = createRunHistory();
        visitMetrics(join(started.folder, runFiles.metrics), (line) => history.add(line));
        parts = {
          folder: started.folder,
          history,
          record: readRecord(started.folder).content,
          kept,
          status: "running",
          checkpoint: newestStep(started.folder).content,
          image: imageReader(started.folder),
        };
        write();
      });
      events.on("step", (step) =>
        guarded(() => {
          parts!.history.add({ event: "step", ...step });
          const idle = performance.now() - written.at;
          if (idle > 1000 * writeEvery && idle > writeShare * written.took) write();
        }),
      );
      events.on("checkpoint:saved", ({ step }) => guarded(() => void (parts!.checkpoint = step)));
      events.on("warning", (warning) => guarded(() => parts!.history.add({ event: "warning", ...warning })));
      events.on("epoch:end", (epoch) =>
        guarded(() => {
          parts!.history.add({ event: "epoch:end", ...epoch });
          write();
        }),
      );
      // Last: what the network is given.
      hooks.beforeBatch.tap({ stage: "last" }, (batch) => {
        report();
        if (run?.folder !== undefined && seen.length === 0) seen = denormalised(batch.images, run);
        fresh.clear();
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
          const split = purpose === "test" ? "test" : "validation";
          const { classes } = run!.data;
          const counts = [...confusion(outputs, classes.length)];
          const { worst = [], worstStep = step } = kept.splits[split] ?? {}; // until they are drawn anew
          const record: SplitRecord = { step, source, classes, counts, worst, worstStep };
          kept.splits = { ...kept.splits, [split]: record };
          fresh.set(split, { outputs, purpose, weights: evaluation?.weights });
          outputs = undefined;
        }),
      );

      let warned = false;
      /** A network that Grad-CAM cannot look into costs the report its worst images, and nothing else. */
      const orNone = async (split: string, drawn: () => Promise<WorstImage[]>): Promise<WorstImage[]> => {
        try {
          return await drawn();
        } catch (error) {
          const message = `The report has no worst images (${split}): ${error instanceof Error ? error.message : String(error)}`;
          if (!warned) events.emit("warning", { message });
          warned = true;
          return [];
        }
      };

      const drawAll = async (step: number): Promise<void> => {
        report();
        if (!run || !parts) return;
        const from = performance.now();
        const emit = (tag: string, path: string, caption: string): void =>
          events.emit("image", { step, tag, path, caption });
        if (seen.length > 0) {
          writeFileAtomic(inFolder("augmented.png"), await rowPng(seen, 96));
          const path = `${keptFolder}/augmented.png`;
          const caption = `from a micro-batch of the epoch that ended at step ${step}`;
          kept.augmented = { path, caption, columns: seen.length };
          emit("augmented", path, caption);
          seen = [];
        }
        for (const [name, { outputs, purpose, weights = run.weights() }] of fresh) {
          const evaluated: Evaluated =
            name === "test"
              ? { split: run.data.test!, indices: Int32Array.from(outputs.labels, (_, at) => at), outputs, weights }
              : { split: run.data.train, indices: run.validationIndices, outputs, weights };
          const worst = await orNone(name, () => drawWorst(run!, evaluated, keptFolder, name));
          // The run's last weights may be others than its last epoch's, at the same step: a tag of its own.
          const group = purpose === "final" ? "worst, at the end" : `worst, ${name}`;
          worst.forEach(({ png, caption }, place) => emit(`${group}/${place + 1}`, png, caption));
          const record = { ...kept.splits[name]!, worst: worst.map(({ page }) => page), worstStep: step };
          kept.splits = { ...kept.splits, [name]: record };
        }
        fresh.clear();
        writeKept();
        const at = performance.now();
        drawn = { at, took: at - from };
      };
      hooks.onEpochEnd.tap(async ({ step }) => {
        if (performance.now() - drawn.at >= drawShare * drawn.took) return drawAll(step);
        report();
        seen = [];
        if (run) writeKept();
      });
      // Early, so that plugins that log images still do; the page is written last, after the run's own record.
      hooks.onFitEnd.tap({ stage: "early" }, async ({ steps, stopReason }) => {
        if (!stopReason.startsWith("failed")) await drawAll(steps);
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        report();
        if (!parts) return;
        if (leavesNothing(run!.folder!, summary)) {
          // As the run's record does.
          rmSync(join(run!.folder!, reportFile), { force: true });
          rmSync(inFolder(), { recursive: true, force: true });
          return;
        }
        parts.status = "ended";
        parts.summary = fitEndRecord(summary);
        write();
      });
    },
  };
}

/** Bytes of the first images of a batch, as they were before they were normalised. */
function denormalised(images: tf.Tensor4D, { data: { mean, deviation } }: FitContext): Image[] {
  const count = Math.min(shownAugmented, images.shape[0]);
  const [, height, width] = images.shape;
  const values = valuesOf(() => images.slice(0, count));
  const area = height * width * 3;
  return Array.from({ length: count }, (_, at) =>
    asImage(values.subarray(at * area, (at + 1) * area), { height, width, mean, deviation }),
  );
}

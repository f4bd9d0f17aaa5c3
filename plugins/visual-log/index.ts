/** Logs for VisualDL and TensorBoard. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Evaluation, type FitContext, type PluginContext, type Step } from "../../core/index.js";
import { lastFeatures } from "./features.js";
import { createLogs, formats, type Saved } from "./logs.js";
import {
  curveEntries,
  endEntry,
  endOf,
  evaluationEntries,
  histogramEntry,
  imageEntry,
  startEntries,
  stepEntries,
} from "./run-entries.js";
import { projectorFiles } from "./tensorboard.js";

const options = z.strictObject({
  formats: z
    .array(z.enum(formats))
    .min(1)
    .default([...formats])
    .describe("log formats to write"),
  every: z.int().positive().default(10).describe("optimizer steps between training metrics"),
  histograms: z
    .int()
    .min(0)
    .default(5)
    .describe("epochs between histograms of weights and gradients, and the last epoch; 0 for none"),
  prCurves: z
    .int()
    .min(0)
    .default(5)
    .describe("number of classes with a precision-recall curve at each evaluation, the first ones"),
  embeddings: z
    .int()
    .min(0)
    .default(200)
    .describe("validation images whose last features are written at the end; 0 for none"),
});

type Logs = ReturnType<typeof createLogs>;

/** Steps, evaluations and images, as they are announced. */
function logEvents(logs: Logs, events: PluginContext["events"], every: number): void {
  events.on("step", (step) => {
    if (step.step % every === 0) logs.guarded(() => logs.write(...stepEntries(step)));
  });
  events.on("evaluate:end", (evaluation) =>
    logs.guarded(() => {
      logs.write(...evaluationEntries(evaluation));
      for (const figure of ["loss", "top1"]) logs.metrics.add(`${evaluation.purpose}/${figure}`);
    }),
  );
  events.on("image", (image) => logs.guarded(() => logs.write(imageEntry(image, logs.folder()))));
}

/** Gradients and weights at the end of every n-th epoch (0: none) and of the last one. */
function logHistograms(logs: Logs, { hooks, events }: PluginContext, every: number): void {
  let [lastStep, lastEpoch] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  events.on("fit:start", (started) => {
    ({ lastStep = Number.POSITIVE_INFINITY } = started);
    lastEpoch = Math.ceil(lastStep / started.stepsPerEpoch) - 1;
  });
  const isDue = ({ epoch, batchInEpoch, batchesInEpoch }: Step): boolean =>
    batchInEpoch + 1 === batchesInEpoch && ((epoch + 1) % every === 0 || epoch === lastEpoch);
  const write = (group: string, step: number, tensors: ReadonlyMap<string, tf.Tensor>): void => {
    for (const [name, tensor] of tensors) logs.write(histogramEntry(`${group}/${name}`, step, tensor));
  };
  // Last: sees the mean of an accumulated window. A tap of `beforeStep` that writes would keep decay and clipping out of
  // the optimizer's graph.
  hooks.afterBackward.tap({ stage: "last" }, (gradients, step) => {
    logs.mustWork();
    if (logs.isOpen() && every > 0 && isDue(step)) write("gradients", step.step + 1, gradients);
    return gradients;
  });
  hooks.onStep.tap((step) => {
    // Also within an epoch, if the run ends there. For gradients the last micro-batch is not known in advance.
    const ends = step.step + 1 === lastStep;
    if (logs.isOpen() && every > 0 && (isDue(step) || ends)) write("weights", step.step + 1, step.weights);
  });
}

/** Features of images, and beside TensorBoard's log the files of its projector. */
async function logFeatures(
  logs: Logs,
  run: FitContext,
  weights: ReadonlyMap<string, tf.Tensor>,
  step: number,
  count: number,
): Promise<void> {
  const features = await lastFeatures(run, weights, count);
  const entry = { kind: "embeddings", tag: "features/validation", step, ...features } as const;
  logs.write(entry);
  if (!logs.isOpen("tensorboard")) return;
  for (const [name, text] of Object.entries(projectorFiles(entry))) {
    writeFileSync(join(logs.folder(), "tensorboard", name), text);
  }
}

export const visualLog = definePlugin({
  name: "visual-log",
  summary: "Writes logs for VisualDL and TensorBoard",
  options,
  observer: true,
  apply(settings, context) {
    const { hooks, events } = context;
    const logs = createLogs(settings.formats, (message) => events.emit("warning", { message }));
    let run: FitContext | undefined;
    let evaluated: Evaluation | undefined;

    hooks.onFitStart.tap((started) => {
      if (started.folder === undefined) return;
      run = started;
      const continues = logs.open(run);
      if (!continues) logs.write(...startEntries(run));
    });
    logEvents(logs, events, settings.every);
    logHistograms(logs, context, settings.histograms);
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      evaluated = evaluation;
      return evaluation;
    });
    hooks.afterEvaluate.tap({ stage: "last" }, (figures, { step }) => {
      // Once per step: the final weights are evaluated on two splits, at the step of the last epoch.
      const once = run && (run.validationIndices.length === 0 || evaluated?.purpose === "validation");
      if (logs.isOpen() && once) logs.write(...curveEntries(figures, run!.data.classes, step, settings.prCurves));
      return figures;
    });
    hooks.onEpochEnd.tap({ stage: "last" }, () => {
      logs.mustWork();
      evaluated = undefined; // may be gone after the next step
    });
    // Last: other plugins have announced their final images.
    hooks.onFitEnd.tap({ stage: "last" }, async (summary) => {
      logs.mustWork();
      if (!run || !logs.isOpen()) return;
      const ended = endOf(summary);
      logs.write(endEntry(run, ended, logs.metrics));
      if (settings.embeddings === 0 || ended !== "success") return;
      await logFeatures(logs, run, evaluated?.weights ?? run.weights(), summary.steps, settings.embeddings);
    });

    return {
      save: () => ({ values: logs.save() }),
      load: ({ values }) => logs.load(values as Saved),
      dispose: logs.close,
    };
  },
});

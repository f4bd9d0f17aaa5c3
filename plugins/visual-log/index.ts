/** Logs for VisualDL and TensorBoard. */

import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import {
  configRecord,
  definePlugin,
  type Evaluation,
  type Events,
  type FitContext,
  type Metrics,
  type Step,
} from "../../core/index.js";
import { type Entry, type Hyperparameter, histogramOf, prCurveOf } from "./entries.js";
import { lastFeatures } from "./features.js";
import { type LogFile, type LogFormat, type LogPlace, openLog } from "./file.js";
import {
  projectorFiles,
  tensorBoardHead,
  tensorBoardName,
  tensorBoardRecords,
  wholeTensorBoard,
} from "./tensorboard.js";
import { visualDlHead, visualDlName, visualDlRecord, wholeVisualDl } from "./visualdl.js";

const formats = ["visualdl", "tensorboard"] as const;
type Format = (typeof formats)[number];

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

const seconds = (): number => Date.now() / 1000;

const formatOf: Record<Format, () => LogFormat> = {
  visualdl: () => ({
    name: visualDlName(seconds()),
    head: visualDlHead(Date.now()),
    pattern: /^vdlrecords\./,
    whole: wholeVisualDl,
  }),
  tensorboard: () => ({
    name: tensorBoardName(seconds(), hostname().replaceAll(/[^\w-]/g, "-"), process.pid),
    head: tensorBoardHead(seconds()),
    pattern: /^events\.out\.tfevents\./,
    whole: wholeTensorBoard,
  }),
};

const encoded: Record<Format, (entry: Entry) => Uint8Array> = {
  visualdl: (entry) => visualDlRecord(entry, Date.now()),
  tensorboard: (entry) => tensorBoardRecords(entry, seconds()),
};

/** The numbers of a step with their tags and names. */
function stepEntries({ step, ...figures }: Events["step"]): Entry[] {
  const named = [
    ["train/loss", figures.loss, "training loss"],
    ["train/top1", figures.top1, "training accuracy, as augmented"],
    ["schedule/learning-rate", figures.learningRate, "learning rate"],
    ["gradients/norm", figures.gradientNorm, "norm of all gradients"],
    ["speed/images-per-second", figures.imagesPerSecond, "images per second"],
  ] as const;
  return named.map(([tag, value, name]) => ({ kind: "scalar", tag, step, value, name }));
}

/** The metrics of an evaluation. "final" is validation with the final weights. */
function evaluationEntries({ purpose, step, loss, top1, top5, more = {} }: Events["evaluate:end"]): Entry[] {
  const figures = { loss, top1, top5, ...more };
  return Object.entries(figures).map(([name, value]) => ({ kind: "scalar", tag: `${purpose}/${name}`, step, value }));
}

/** Hyperparameters to compare runs by: plain settings, and each plugin with its options. */
function hyperparametersOf(run: FitContext): Record<string, Hyperparameter> {
  const { model, optimizer, loss, plugins, data, ...rest } = configRecord(run.config);
  const found: Record<string, Hyperparameter> = {
    data: data.name,
    model: model.name,
    optimizer: optimizer.name,
    loss: loss.name,
  };
  const add = (prefix: string, values: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (["number", "string", "boolean"].includes(typeof value)) found[prefix + name] = value as Hyperparameter;
    }
  };
  add("", rest);
  add("model.", model.options);
  add("optimizer.", optimizer.options);
  for (const { name, options } of plugins) {
    found[name] = true;
    add(`${name}.`, options);
  }
  return found;
}

interface Saved {
  readonly places: Partial<Record<Format, LogPlace>>;
  readonly metrics: readonly string[];
}

export const visualLog = definePlugin({
  name: "visual-log",
  summary: "Writes logs for VisualDL and TensorBoard",
  options,
  observer: true,
  apply(settings, { hooks, events }) {
    const logs = new Map<Format, LogFile>();
    const metrics = new Set<string>(); // tags of metrics that compare runs
    let resumed: Saved | undefined; // until the files are open
    let run: FitContext | undefined;
    let evaluated: Evaluation | undefined;
    let failure: unknown; // of a listener, which must not throw: the next tap throws it
    let lost: Saved | undefined; // the last complete place of each file when one failed
    const placesNow = (): Saved => ({
      places: Object.fromEntries([...logs].map(([format, file]) => [format, file.place])),
      metrics: [...metrics],
    });

    const log = (...entries: readonly Entry[]): void => {
      if (run?.folder === undefined) return; // throws where the run has lost its folder
      for (const entry of entries) for (const [format, file] of logs) file.append(encoded[format](entry));
    };
    const guarded = (write: () => void): void => {
      if (failure !== undefined || logs.size === 0) return;
      try {
        write();
      } catch (cause) {
        failure = cause;
        lost = placesNow(); // a resumed run continues from there
        for (const file of logs.values()) file.close();
        logs.clear();
      }
    };
    const report = (): void => {
      if (failure !== undefined) throw failure;
    };
    let lastStep = Number.POSITIVE_INFINITY;
    /** The end of every n-th epoch, and of the last one. */
    const due = ({ epoch, batchInEpoch, batchesInEpoch }: Step): boolean =>
      logs.size > 0 &&
      settings.histograms > 0 &&
      batchInEpoch + 1 === batchesInEpoch &&
      ((epoch + 1) % settings.histograms === 0 || epoch + 1 === Math.ceil(lastStep / run!.progress.stepsPerEpoch));
    const histograms = (group: string, step: number, tensors: ReadonlyMap<string, tf.Tensor>): void => {
      for (const [name, tensor] of tensors) {
        const histogram = histogramOf(tensor.dataSync() as Float32Array);
        log({ kind: "histogram", tag: `${group}/${name}`, step, histogram });
      }
    };

    hooks.onFitStart.tap((started) => {
      if (started.folder === undefined) return;
      run = started;
      for (const format of settings.formats) {
        const place = resumed?.places[format];
        const file = openLog(join(started.folder, format), formatOf[format](), place);
        logs.set(format, file);
        if (place && file.place.bytes < place.bytes) {
          const message = `${place.name}: expected ${place.bytes} bytes of log from before, got ${file.place.bytes}. Part of the log is missing.`;
          events.emit("warning", { message });
        }
      }
      for (const tag of resumed?.metrics ?? []) metrics.add(tag);
      const continues = resumed !== undefined;
      resumed = undefined;
      if (continues) return;
      const code = (text: string): string => text.replaceAll(/^/gm, "    "); // Markdown's preformatted text
      const config = JSON.stringify(configRecord(started.config), null, 2);
      log({ kind: "text", tag: "run/config", step: 0, text: code(config) });
      log({ kind: "text", tag: "run/plan", step: 0, text: code(started.plan()) });
      log({ kind: "session", tag: "", step: 0, values: hyperparametersOf(started) });
    });
    events.on("fit:start", (started) => ({ lastStep = Number.POSITIVE_INFINITY } = started));
    events.on("step", (step) => {
      if (step.step % settings.every === 0) guarded(() => log(...stepEntries(step)));
    });
    events.on("evaluate:end", (evaluation) =>
      guarded(() => {
        log(...evaluationEntries(evaluation));
        for (const figure of ["loss", "top1"]) metrics.add(`${evaluation.purpose}/${figure}`);
      }),
    );
    events.on("image", ({ tag, step, path }) =>
      guarded(() => {
        const png = readFileSync(join(run!.folder!, path));
        // A PNG begins with its signature and a header that holds its size.
        log({ kind: "image", tag, step, png, width: png.readUInt32BE(16), height: png.readUInt32BE(20) });
      }),
    );
    // Last: sees the mean of an accumulated window. A tap of `beforeStep` that writes would keep decay and clipping out of
    // the optimizer's graph.
    hooks.afterBackward.tap({ stage: "last" }, (gradients, step) => {
      report();
      if (due(step)) histograms("gradients", step.step + 1, gradients);
      return gradients;
    });
    hooks.onStep.tap((step) => {
      // Also within an epoch, if the run ends there. For gradients the last micro-batch is not known in advance.
      const ends = logs.size > 0 && settings.histograms > 0 && step.step + 1 === lastStep;
      if (due(step) || ends) histograms("weights", step.step + 1, step.weights);
    });
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      evaluated = evaluation;
      return evaluation;
    });
    hooks.afterEvaluate.tap({ stage: "last" }, (figures, { step }) => {
      // Once per step: the final weights are evaluated on two splits, at the step of the last epoch.
      const once = run && (run.validationIndices.length > 0 ? evaluated?.purpose === "validation" : true);
      if (logs.size > 0 && once) log(...curves(figures, run!.data.classes, step));
      return figures;
    });
    hooks.onEpochEnd.tap({ stage: "last" }, () => {
      report();
      evaluated = undefined; // may be gone after the next step
    });
    // Last: other plugins have announced their final images.
    hooks.onFitEnd.tap({ stage: "last" }, async ({ steps, stopReason }) => {
      report();
      if (!run || logs.size === 0) return;
      const { folder } = run;
      const values = hyperparametersOf(run);
      const ended = stopReason.startsWith("failed")
        ? "failure"
        : stopReason.startsWith("interrupted")
          ? undefined
          : "success";
      log({ kind: "hyperparameters", tag: "", step: 0, run: basename(folder!), values, metrics: [...metrics], ended });
      if (settings.embeddings > 0 && ended === "success") {
        const features = await lastFeatures(run, evaluated?.weights ?? run.weights(), settings.embeddings);
        const entry = { kind: "embeddings", tag: "features/validation", step: steps, ...features } as const;
        log(entry);
        if (!logs.has("tensorboard")) return;
        for (const [name, text] of Object.entries(projectorFiles(entry))) {
          writeFileSync(join(folder!, "tensorboard", name), text);
        }
      }
    });

    function curves({ outputs }: Metrics, classes: readonly string[], step: number): Entry[] {
      if (!outputs) return [];
      const { probabilities, labels } = outputs;
      return classes.slice(0, settings.prCurves).map((name, label) => {
        const own = Float32Array.from(labels, (_, image) => probabilities[image * classes.length + label]!);
        const curve = prCurveOf(own, (image) => labels[image] === label);
        return { kind: "pr-curve", tag: `pr/${name}`, step, curve };
      });
    }

    return {
      save: () => ({ values: resumed ?? lost ?? placesNow() }),
      load({ values }) {
        const saved = values as Saved;
        if (logs.size === 0) return void (resumed = saved); // before the run has begun
        // During the run, after a skipped step or a rollback: later entries are removed too.
        guarded(() => {
          for (const [format, file] of logs) file.backTo(saved.places[format]!);
          metrics.clear();
          for (const tag of saved.metrics) metrics.add(tag);
        });
      },
      dispose() {
        for (const file of logs.values()) file.close();
        logs.clear();
      },
    };
  },
});

/** What a run logs, as entries. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { configRecord, type Events, type FitContext, type FitSummary, type Metrics } from "../../core/index.js";
import { type Entry, type Hyperparameter, histogramOf, prCurveOf } from "./entries.js";

/** Config and plan as texts, and the hyperparameters. */
export function startEntries(run: FitContext): Entry[] {
  const code = (text: string): string => text.replaceAll(/^/gm, "    "); // Markdown's preformatted text
  const config = JSON.stringify(configRecord(run.config), null, 2);
  return [
    { kind: "text", tag: "run/config", step: 0, text: code(config) },
    { kind: "text", tag: "run/plan", step: 0, text: code(run.plan()) },
    { kind: "session", tag: "", step: 0, values: hyperparametersOf(run) },
  ];
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

/** The numbers of a step with their tags and names. */
export function stepEntries({ step, ...figures }: Events["step"]): Entry[] {
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
export function evaluationEntries({ purpose, step, loss, top1, top5, more = {} }: Events["evaluate:end"]): Entry[] {
  const figures = { loss, top1, top5, ...more };
  return Object.entries(figures).map(([name, value]) => ({ kind: "scalar", tag: `${purpose}/${name}`, step, value }));
}

/** Precision-recall curves of the first classes, from an evaluation's probabilities; none where it has none. */
export function curveEntries({ outputs }: Metrics, classes: readonly string[], step: number, count: number): Entry[] {
  if (!outputs) return [];
  const { probabilities, labels } = outputs;
  return classes.slice(0, count).map((name, label) => {
    const own = Float32Array.from(labels, (_, image) => probabilities[image * classes.length + label]!);
    const curve = prCurveOf(own, (image) => labels[image] === label);
    return { kind: "pr-curve", tag: `pr/${name}`, step, curve };
  });
}

export function histogramEntry(tag: string, step: number, tensor: tf.Tensor): Entry {
  return { kind: "histogram", tag, step, histogram: histogramOf(tensor.dataSync() as Float32Array) };
}

/** An image that another plugin wrote to the run's folder. */
export function imageEntry({ tag, step, path }: Events["image"], folder: string): Entry {
  const png = readFileSync(join(folder, path));
  // A PNG begins with its signature and a header that holds its size.
  return { kind: "image", tag, step, png, width: png.readUInt32BE(16), height: png.readUInt32BE(20) };
}

/** How a run ended: undefined for an interrupted one, which may resume. */
export function endOf({ stopReason }: FitSummary): "success" | "failure" | undefined {
  if (stopReason.startsWith("failed")) return "failure";
  return stopReason.startsWith("interrupted") ? undefined : "success";
}

/** @param metrics tags of the scalars to compare runs by */
export function endEntry(run: FitContext, ended: ReturnType<typeof endOf>, metrics: Iterable<string>): Entry {
  const values = hyperparametersOf(run);
  return {
    kind: "hyperparameters",
    tag: "",
    step: 0,
    run: basename(run.folder!),
    values,
    metrics: [...metrics],
    ended,
  };
}

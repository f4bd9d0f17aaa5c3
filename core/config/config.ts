/** What a run is made of. A preset is a function that returns one of these; so may a `trainer.config.ts`. */
import { z } from "zod";
import type { DataSource } from "../data/dataset.js";
import { TrainerError } from "../errors.js";
import type { Plugin } from "../loop/plugin.js";
import type { Metric } from "../metrics.js";
import { type Monitor, monitorOf } from "../monitor.js";
import { type Loss, losses } from "../nn/losses.js";
import type { ModelSource } from "../nn/model.js";
import { type Optimizer, sgd } from "../nn/optimizers.js";
import { parseOptions, suggestion } from "../options.js";
import { type Given, isPart, makePart, type Part, type PartKind } from "../parts.js";
import { type PartRecord, type RunConfig, settingsSchema } from "./settings.js";

export type { PartRecord, RunConfig } from "./settings.js";

export interface TrainerConfig {
  /** Names the run: its folder is `runs/<name>-<number>`. Default "run". */
  name?: string;
  /** The images: `cifar100({ path })`, `imageFolder({ path })`, `shapes()`… */
  data: Given<DataSource>;
  /** `resnet18({ width: 64 })`, … */
  model: Given<ModelSource>;
  /** `sgd({ momentum: 0.9 })` (the default), `adamw()`, `lion()` or `muon()`. */
  optimizer?: Given<Optimizer>;
  /** `losses.crossEntropy()` (the default), `losses.focal({ gamma: 2 })` or your own; in training and in evaluation. */
  loss?: Given<Loss>;
  /** More figures of every evaluation: `metrics.macroRecall()`, `metrics.balancedAccuracy()`, `metrics.f1()` or your own. */
  metrics?: readonly Given<Metric>[];
  /**
   * What the best epoch is measured by: "loss" (the default), "top1" or "top5" of validation, "train-loss", or the name of one of
   * `metrics`. The best epoch's checkpoint stays, `early-stopping` waits for it, and `summary.json` names it. A metric
   * says itself which way is better, unless `direction` does.
   */
  monitor?: string | { metric: string; direction?: Monitor["direction"] };
  /** Base rate, before schedules and group factors. */
  learningRate: number;
  /** Passes over the training images. A run has `epochs` or `maxTime`. */
  epochs?: number;
  /**
   * Train for so long instead: "90s", "60m", "1h30m", or seconds. The time is that of training steps, over all interruptions;
   * start, evaluation and checkpoints come on top. A schedule of the whole run ends when the time is over, whatever the
   * speed. Such a run is not repeatable bit for bit.
   */
  maxTime?: number | string;
  /** Images in a micro-batch. Default 128. */
  batchSize?: number;
  /** Images are resized to this many pixels on the device. Default: the data's own size. */
  inputSize?: number;
  /** Share of the training set that is used for validation only, stratified. Default 0.1. */
  holdout?: number;
  /** Unsigned 32-bit integer. Default 1. */
  seed?: number;
  /** Applied in this order inside each hook's stage. */
  plugins?: readonly Given<Plugin>[];
  /** Default: tensorflow where it can be loaded, else wasm. */
  backend?: "tensorflow" | "wasm";
  /**
   * Type of activations and convolutions: "float32" (the default) or "bfloat16". The latter needs TensorFlow, and is faster
   * on a processor with instructions for it (see `trainer backend status`). Weights, statistics, loss and optimizer are
   * float32 in both.
   */
  precision?: "float32" | "bfloat16";
  /**
   * Run the computations of a step as one TensorFlow graph each, once they were the same from step to step. The bits are the
   * same, and the time between operations is gone. Default true; without effect on wasm.
   */
  capture?: boolean;
  /** Evaluate the validation images every so many epochs, and always after the last. Default 1. */
  evaluateEvery?: number;
  /**
   * What happens after a step whose numbers are not finite; such a step is never applied. "halt" (the default) ends the run.
   * `{ skip: 3 }` leaves its micro-batch out, at most three in a row. `{ rollback: 2, factor: 0.5 }` returns to the beginning
   * of the epoch with half the learning rate, at most twice.
   */
  onDivergence?: "halt" | { skip: number } | { rollback: number; factor?: number };
  /**
   * Seconds that an asynchronous hook waits for one plugin before that plugin counts as failed. Default 600: writing images or
   * reports may take minutes, and a promise that never settles must not block a run for ever.
   */
  hookTimeout?: number;
  /** Stop after so many optimizer steps. */
  maxSteps?: number;
  /** Use only so many training or test images, balanced over classes. */
  limitTrain?: number;
  limitTest?: number;
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Keys of a plugin; `core/loop/plugin.ts` says what they mean. */
const pluginKeys = Object.keys({
  name: true,
  options: true,
  requires: true,
  conflicts: true,
  slot: true,
  observer: true,
  check: true,
  checkFiles: true,
  apply: true,
} satisfies Record<keyof Plugin, true>);

/**
 * A part from a factory, whose options are checked later (`makePart`), or one written by hand, which may lack something.
 *
 * @param act the function that the loop calls
 */
function partField<Made extends { readonly name: string }>(kind: PartKind, what: string, act: string) {
  const fits = (value: unknown): value is Given<Made> =>
    isPart(value)
      ? value.kind === kind
      : isObject(value) && typeof (value as Record<string, unknown>)[act] === "function";
  return z.custom<Given<Made>>(fits, { message: `expected ${what}` }).superRefine((value, context) => {
    if (!fits(value)) return; // reported already
    const problem = (message: string): void => context.addIssue({ code: "custom", message });
    const { name, options } = value as { name?: unknown; options?: unknown };
    if (isPart(value)) {
      const added = Object.keys(value).filter((key) => !["kind", "name", "options"].includes(key));
      if (added.length > 0) problem(`has keys that its factory did not give it (${added.join(", ")})`);
      return;
    }
    if (!isObject(options)) problem("expected options, a plain object ({} if there are none)");
    if (kind !== "plugin") {
      if (typeof name !== "string" || name === "") problem("expected a name");
      return;
    }
    if (typeof name !== "string" || !/^[a-z][a-z0-9-]*$/.test(name)) problem("expected a name in kebab-case");
    for (const key of Object.keys(value).filter((key) => !pluginKeys.includes(key))) {
      problem(`has an unknown key "${key}"${suggestion(key, pluginKeys)}`);
    }
  });
}

const { name, ...settings } = settingsSchema.shape;

/** The schema behind `TrainerConfig`: strict, with the defaults, in the order of a record. */
export const configSchema = z.strictObject({
  name,
  data: partField<DataSource>("data", "a data source, such as cifar100({ path })", "load").describe(
    "the images: cifar100(), imageFolder({ path }), shapes()",
  ),
  model: partField<ModelSource>("model", "a model, such as resnet18()", "build").describe(
    "the network: resnet18(), wrn(), efficientNetB0() …",
  ),
  optimizer: partField<Optimizer>("optimizer", "an optimizer, such as sgd({ momentum: 0.9 })", "update")
    .optional()
    .describe("sgd() if left out, or adamw(), lion(), muon()"),
  loss: partField<Loss>("loss", "a loss, such as losses.focal({ gamma: 2 })", "compute")
    .optional()
    .describe("losses.crossEntropy() if left out, losses.focal(), or your own"),
  metrics: z
    .array(partField<Metric>("metric", "a metric, such as metrics.f1()", "compute"))
    .default([])
    .describe("more figures of every evaluation: metrics.macroRecall(), balancedAccuracy(), f1(), or your own"),
  plugins: z
    .array(partField<Plugin>("plugin", "a plugin, such as labelSmoothing()", "apply"))
    .default([])
    .describe("techniques; taps run by stage, then in this order"),
  ...settings,
});

/** A checked config with every default, whose parts are made. */
export type ResolvedConfig = Omit<RunConfig, "plugins"> & { readonly plugins: readonly Plugin[] };

/**
 * Types and checks a config where it is written.
 *
 * @returns the config itself, so that it can be spread and changed
 * @throws TrainerError ERR_OPTION that lists every mistake of the config and of all its parts
 */
export function defineConfig(config: TrainerConfig): TrainerConfig {
  resolveConfig(config);
  return config;
}

/**
 * Checks a config and all its parts in one pass, fills in defaults and makes the parts.
 *
 * @throws TrainerError ERR_OPTION that lists every mistake
 */
export function resolveConfig(config: TrainerConfig): ResolvedConfig {
  const mistakes: TrainerError[] = [];
  const attempt = <T>(check: () => T): T | undefined => {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof TrainerError)) throw error;
      mistakes.push(error);
      return undefined;
    }
  };
  const parsed = attempt(() => parseOptions("the config", configSchema, config));
  for (const part of partsOf(config)) attempt(() => makePart(part));
  if (!parsed || mistakes.length > 0) throw allOf(mistakes);
  checkLength(parsed);
  const { data, model, optimizer, loss, plugins } = parsed;
  const metrics = parsed.metrics.map(makePart);
  return {
    ...parsed,
    monitor: monitorOf(parsed.monitor, metrics),
    data: makePart(data),
    model: makePart(model),
    optimizer: makePart(optimizer ?? sgd()),
    loss: makePart(loss ?? losses.crossEntropy()),
    metrics,
    plugins: plugins.map(makePart),
  };
}

/** @throws TrainerError ERR_OPTION for a run without an end, or with two */
function checkLength({ epochs, maxTime, maxSteps }: Pick<RunConfig, "epochs" | "maxTime" | "maxSteps">): void {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_OPTION", `The config: ${problem}`);
  };
  if (epochs === undefined && maxTime === undefined) refuse("expected epochs or maxTime, got neither.");
  const other = epochs !== undefined ? "epochs" : maxSteps !== undefined ? "maxSteps" : undefined;
  if (maxTime !== undefined && other) refuse(`expected maxTime or ${other}, got both. Remove one of them.`);
}

/** The parts that factories made; none of a config that cannot be read, whose own mistake says so. */
function partsOf(config: TrainerConfig): Part[] {
  try {
    const { data, model, optimizer, loss, metrics, plugins } = config;
    const lists = [metrics, plugins].flatMap((each): unknown[] => (Array.isArray(each) ? each : []));
    return [data, model, optimizer, loss, ...lists].filter(isPart);
  } catch {
    return [];
  }
}

/** One error for all mistakes: a line for the config's own fields and one for each part. */
function allOf(mistakes: readonly TrainerError[]): TrainerError {
  const [first] = mistakes;
  if (mistakes.length === 1) return first!;
  const lines = mistakes.map(({ message }) => `- ${message}`);
  return new TrainerError("ERR_OPTION", `There are mistakes in ${mistakes.length} places.\n${lines.join("\n")}`, {
    cause: first,
  });
}

export type ConfigRecord = Omit<RunConfig, "data" | "model" | "optimizer" | "loss" | "metrics" | "plugins"> & {
  data: PartRecord;
  model: PartRecord;
  optimizer: PartRecord;
  loss: PartRecord;
  metrics: PartRecord[];
  plugins: PartRecord[];
};

/** A checked config as plain JSON, from which a run can be built again if every part is built in. */
export function configRecord(config: RunConfig): ConfigRecord {
  const record = ({ name, options }: PartRecord): PartRecord => ({ name, options });
  return {
    ...config,
    data: record(config.data),
    model: record(config.model),
    optimizer: record(config.optimizer),
    loss: record(config.loss),
    metrics: config.metrics.map(record),
    plugins: config.plugins.map(record),
  };
}

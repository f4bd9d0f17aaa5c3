/** What a run is made of. A preset is a function that returns one of these; so may a `trainer.config.ts`. */
import { z } from "zod";
import type { DataSource } from "../data/dataset.js";
import type { Plugin } from "../loop/plugin.js";
import type { ModelSource } from "../nn/model.js";
import type { Optimizer } from "../nn/optimizers.js";
import { parseOptions, suggestion } from "../options.js";
import { type PartRecord, type RunConfig, settingsSchema } from "./settings.js";

export type { PartRecord, RunConfig } from "./settings.js";

export interface TrainerConfig {
  /** Names the run: its folder is `runs/<name>-<number>`. Default "run". */
  name?: string;
  /** Where the pictures come from: `cifar100({ path })`, `imageFolder({ path })`, `shapes()`… */
  data: DataSource;
  /** `resnet18({ width: 64 })`, … */
  model: ModelSource;
  /** `sgd({ momentum: 0.9 })` (the default) or `adamw()`. */
  optimizer?: Optimizer;
  /** Base rate, before schedules and group factors. */
  learningRate: number;
  epochs: number;
  /** Pictures in a micro-batch. Default 128. */
  batchSize?: number;
  /** Pictures are resized to this many pixels on the device. Default: the data's own size. */
  inputSize?: number;
  /** Share of the training set that is held out for validation, stratified. Default 0.1. */
  holdout?: number;
  /** Unsigned 32-bit integer. Default 1. */
  seed?: number;
  /** Applied in this order inside each hook's stage. */
  plugins?: readonly Plugin[];
  /** Default: tensorflow where it can be loaded, else wasm. */
  backend?: "tensorflow" | "wasm";
  /**
   * Storage of activations, and what convolutions compute in: "float32" (the default) or "bfloat16", which is faster on a
   * processor with instructions for it (`trainer backend status` tells) and needs TensorFlow. Weights, statistics, loss and
   * optimizer are float32 in both.
   */
  precision?: "float32" | "bfloat16";
  /**
   * Run the computations of a step as one TensorFlow graph each, once they have been seen to be the same from step to step.
   * The bits are the same, and the time between operations is gone. Default true; without effect on wasm.
   */
  capture?: boolean;
  /** Evaluate the held-out split every so many epochs; the last epoch always is. Default 1. */
  evaluateEvery?: number;
  /**
   * What happens after a step whose numbers are not finite; such a step is never applied. "halt" (the default) ends the
   * run; `{ skip: 3 }` leaves its micro-batch out, at most three in a row; `{ rollback: 2, factor: 0.5 }` goes back
   * to the beginning of the epoch with half the learning rate, at most twice.
   */
  onDivergence?: "halt" | { skip: number } | { rollback: number; factor?: number };
  /**
   * Seconds that an asynchronous hook waits for one plugin before that plugin counts as failed. Default 600: what writes
   * pictures or reports may take minutes, and what never settles must not hold a run for ever.
   */
  hookTimeout?: number;
  /** Stop after so many optimizer steps. */
  maxSteps?: number;
  /** Use only so many training or test pictures, balanced over classes. */
  limitTrain?: number;
  limitTest?: number;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
const part = <T>(what: string, key: string) =>
  z.custom<T>((value) => isObject(value) && typeof (value as Record<string, unknown>)[key] === "function", {
    message: `must be ${what}`,
  });

/** Keys of a plugin; `core/loop/plugin.ts` says what they mean. */
const pluginKeys = ["name", "options", "requires", "conflicts", "slot", "observer", "check", "apply"] as const;
/** A plugin of any origin: what a factory makes is whole, what a hand makes may not be. */
const plugin = part<Plugin>("a plugin, such as labelSmoothing()", "apply").superRefine((value, context) => {
  if (!isObject(value)) return; // said already
  const problem = (message: string): void => context.addIssue({ code: "custom", message });
  const { name, options } = value as Partial<Plugin>;
  if (typeof name !== "string" || !/^[a-z][a-z0-9-]*$/.test(name)) problem("needs a name in kebab-case");
  if (!isObject(options)) problem("needs options, a plain object; {} where there are none");
  for (const key of Object.keys(value).filter((key) => !(pluginKeys as readonly string[]).includes(key))) {
    problem(`has an unknown key "${key}"${suggestion(key, pluginKeys)}`);
  }
});

const { name, ...settings } = settingsSchema.shape;

/** The schema behind `TrainerConfig`: strict, with the defaults, in the order of a record. */
export const configSchema = z.strictObject({
  name,
  data: part<DataSource>("a data source, such as cifar100({ path })", "load"),
  model: part<ModelSource>("a model, such as resnet18()", "build"),
  optimizer: part<Optimizer>("an optimizer, such as sgd({ momentum: 0.9 })", "update").optional(),
  plugins: z.array(plugin).default([]),
  ...settings,
});

export type ResolvedConfig = Omit<RunConfig, "plugins"> & { readonly plugins: readonly Plugin[] };

/**
 * Types a config where it is written; checks nothing, so that a mistake is reported with the file it is in.
 */
export function defineConfig(config: TrainerConfig): TrainerConfig {
  return config;
}

/**
 * Checks a config and fills in its defaults.
 *
 * @throws TrainerError ERR_OPTION that lists every problem at once
 */
export function resolveConfig(config: TrainerConfig, fallback: { optimizer: Optimizer }): ResolvedConfig {
  const parsed = parseOptions("the config", configSchema, config);
  return { ...parsed, optimizer: parsed.optimizer ?? fallback.optimizer };
}

export type ConfigRecord = Omit<RunConfig, "data" | "model" | "optimizer" | "plugins"> & {
  data: PartRecord;
  model: PartRecord;
  optimizer: PartRecord;
  plugins: PartRecord[];
};

/**
 * The config as plain JSON: what a run keeps, and what it can be rebuilt from where every part is built in.
 */
export function configRecord(config: RunConfig): ConfigRecord {
  const record = ({ name, options }: PartRecord): PartRecord => ({ name, options });
  return {
    ...config,
    data: record(config.data),
    model: record(config.model),
    optimizer: record(config.optimizer),
    plugins: config.plugins.map(record),
  };
}

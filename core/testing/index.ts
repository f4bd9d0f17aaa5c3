/**
 * The plugin test kit: what the project's own contract suite uses, for plugin authors.
 *
 * `mountPlugin` calls a plugin's hooks without a run; `fitWeights` trains for real, in well under a second, and gives
 * the weights as something that can be compared. docs/writing-plugins.md walks through both.
 */
import { createHash } from "node:crypto";
import type * as tf from "@tensorflow/tfjs-core";
import { resolveConfig, type TrainerConfig } from "../config/config.js";
import { loadData } from "../data/load.js";
import { shapes } from "../data/shapes.js";
import { checkComposition } from "../loop/composition.js";
import { createEvents } from "../loop/events.js";
import type { FitOptions } from "../loop/fit.js";
import { createHooks, type HookCalls, type TapInfo } from "../loop/hook-set.js";
import type { Plugin, PluginInstance } from "../loop/plugin.js";
import { applyPlugins, disposePlugins } from "../loop/plugin-instances.js";
import { Trainer } from "../loop/trainer.js";
import type { EpochSummary, FitContext, FitSummary, Metrics, OpenNetwork, Progress, Step } from "../loop/types.js";
import { initialWeights } from "../nn/layer.js";
import { sgd } from "../nn/optimizers.js";
import { type Given, makePart } from "../parts.js";
import { microNet } from "./micro-net.js";

export type { HookCalls } from "../loop/hook-set.js";
export { microNet } from "./micro-net.js";

/**
 * A whole run that takes milliseconds: 18 drawn images of 8 pixels in 4 classes, 4 of them for validation, so that each
 * of the 3 epochs has a batch of 8 and a short one of 6.
 */
export function microConfig(overrides: Partial<TrainerConfig> = {}): TrainerConfig {
  return {
    name: "micro",
    data: shapes({ classes: 4, size: 8, train: 18, test: 6 }),
    model: microNet(),
    optimizer: sgd({ momentum: 0.9 }),
    learningRate: 0.05,
    epochs: 3,
    batchSize: 8,
    holdout: 0.2,
    ...overrides,
  };
}

/** A plugin at its hooks, without a run around it. */
export interface Mounted {
  /** Calls a hook as the loop does: checked, with the plugin named in errors. Tensors made are the caller's. */
  readonly call: HookCalls;
  readonly taps: readonly TapInfo[];
  /** What `apply` returned. */
  readonly instance: PluginInstance;
  readonly events: ReturnType<typeof createEvents>;
  /** Errors and notes about the composition. */
  readonly hints: readonly string[];
  /** Frees what the plugin keeps. @throws what its `dispose` throws */
  dispose(): void;
}

/**
 * Checks and applies a plugin as a trainer would. Plugins in `config.plugins` are mounted before it.
 *
 * @throws TrainerError ERR_COMPOSITION, ERR_PLUGIN, ERR_OPTION
 */
export function mountPlugin(
  plugin: Given<Plugin>,
  { config: overrides }: { config?: Partial<TrainerConfig> } = {},
): Mounted {
  const plugins = [...(overrides?.plugins ?? []), plugin];
  const config = resolveConfig(microConfig({ ...overrides, plugins }));
  const hints = checkComposition(config);
  const hooks = createHooks({ seed: config.seed });
  const events = createEvents();
  const applied = applyPlugins(config, hooks, events);
  return {
    call: hooks.call,
    taps: hooks.taps(),
    instance: applied.at(-1)!.instance,
    events,
    hints,
    dispose() {
      const [failure] = disposePlugins(applied);
      if (failure) throw failure;
    },
  };
}

/** Where a run of 10 epochs of 20 steps is: at its start, or as given. */
export function progressAt(overrides: Partial<Progress> = {}): Progress {
  return { epoch: 0, epochs: 10, step: 0, stepsPerEpoch: 20, totalSteps: 200, ...overrides };
}

/** A step as taps see it: the first of 20 of an epoch, 8 images, no weights, or as given. */
export function stepAt(overrides: Partial<Step> = {}): Step {
  return {
    epoch: 0,
    step: 0,
    microBatch: 0,
    batchInEpoch: 0,
    batchesInEpoch: 20,
    samples: 8,
    share: 0,
    groups: [],
    weights: new Map(),
    ...overrides,
  };
}

/** The end of an epoch (from 0), with a validation loss where one is given. */
export function epochEnd(
  epoch: number,
  validation?: Partial<Metrics>,
  overrides: Partial<EpochSummary> = {},
): EpochSummary {
  const figures: Metrics = { count: 4, loss: 1, top1: 0.5, top5: 1, source: "current" };
  return {
    ...progressAt({ epoch, step: (epoch + 1) * 20 }),
    whole: true,
    learningRate: 0.05,
    train: { loss: 1, top1: 0.5 },
    validation: validation && { ...figures, ...validation },
    seconds: 1,
    imagesPerSecond: 160,
    ...overrides,
  };
}

/** SHA-256 over names, shapes and bytes: equal where every bit of every weight is. */
export function weightsHash(weights: ReadonlyMap<string, tf.Tensor>): string {
  const hash = createHash("sha256");
  for (const [name, tensor] of [...weights].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} [${tensor.shape}] `);
    hash.update(new Uint8Array((tensor.dataSync() as Float32Array).slice().buffer));
  }
  return hash.digest("hex");
}

/**
 * Gives every run that a plugin opens the same stand-in: a micro net of random weights, for the data of a config. For tests of
 * plugins that use another run's network.
 */
export const microNetworkFor =
  (config: Pick<TrainerConfig, "data" | "inputSize">): OpenNetwork =>
  async (_, { weights: which }) => {
    const { classes, height, mean, deviation } = await loadData(makePart(config.data), { warn: () => {} });
    const through = <T>(layer: T): T => layer;
    const inputSize = config.inputSize ?? height;
    const context = { inputSize, classes: classes.length, buildBlock: through, buildHead: through };
    const model = makePart(microNet({ width: 8 })).build(context);
    const weights = initialWeights(model.layer, 99);
    return { model, weights, source: which, classes, inputSize, mean, deviation, sha256: "of no file" };
  };

export interface Fitted {
  readonly summary: FitSummary;
  /** Of the weights that training ended with, running statistics included. */
  readonly hash: string;
  readonly weights: Readonly<Record<string, readonly number[]>>;
}

/**
 * Trains a config to its end and gives the weights that training left, whichever were evaluated. A plugin that opens a run gets
 * the network of `microNetworkFor`, unless `openNetwork` is given.
 */
export async function fitWeights(
  config: TrainerConfig,
  { before, ...options }: FitOptions & { before?: (trainer: Trainer) => void } = {},
): Promise<Fitted> {
  let fit: FitContext | undefined;
  let fitted: Omit<Fitted, "summary"> | undefined;
  const probe: Plugin = {
    name: "weights-probe",
    options: {},
    apply({ hooks }) {
      hooks.onFitStart.tap({ stage: "first" }, (started) => {
        fit = started;
      });
      hooks.onFitEnd.tap({ stage: "last" }, () => {
        const weights = fit!.weights();
        const plain = [...weights].map(([name, value]) => [name, [...(value.dataSync() as Float32Array)]] as const);
        fitted = { hash: weightsHash(weights), weights: Object.fromEntries(plain) };
      });
    },
  };
  const trainer = new Trainer({ ...config, plugins: [...(config.plugins ?? []), probe] });
  before?.(trainer);
  const { summary, dispose } = await trainer.fit({ openNetwork: microNetworkFor(config), ...options });
  dispose();
  return { summary, ...fitted! };
}

/** What a run is before its first step: backend, data, network, weights and loaders, made from a config. */
import * as tf from "@tensorflow/tfjs-core";
import { type Capture, createCapture, eager } from "../backend/graph/capture.js";
import { type Backend, type BackendName, loadBackend } from "../backend/index.js";
import { bfloat16Instructions } from "../backend/processor.js";
import type { ResolvedConfig } from "../config/config.js";
import type { Data } from "../data/dataset.js";
import { divide, limit, splitNotes, subset } from "../data/holdout.js";
import { loadData } from "../data/load.js";
import { createLoader, type Loader } from "../data/loader.js";
import { TrainerError } from "../errors.js";
import { alone, type Group } from "../group/group.js";
import { mustHaveValidation } from "../monitor.js";
import {
  forward,
  initialWeights,
  inPrecision,
  type Layer,
  namedBuffers,
  namedParameters,
  type Parameter,
  zeroWeights,
} from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import { type UpdateRules, updateRules } from "../nn/optimizers.js";
import { buildModel } from "./build-model.js";
import type { HookCalls } from "./hook-set.js";
import type { HookName } from "./hooks.js";
import { initialState, type TrainState } from "./state.js";
import type { ParamGroup } from "./types.js";

export interface Session {
  backend: Backend;
  /** The processes that train together. */
  group: Group;
  /** How functions of tensors are run; the session's caller disposes of it. */
  capture: Capture;
  data: Data;
  model: Model;
  parameters: ReadonlyMap<string, Parameter>;
  /** How each parameter is updated. */
  rules: UpdateRules;
  /** The model's own groups, before `resolveParamGroups`. */
  groups: readonly ParamGroup[];
  inputSize: number;
  trainIndices: Int32Array;
  validationIndices: Int32Array;
  loaders: { train: Loader; validation?: Loader; test?: Loader };
  samples: { train: number; validation: number; test: number };
  /** Where each micro-batch of an epoch stands: true where the optimizer steps. */
  stepsAt: readonly boolean[];
  stepsPerEpoch: number;
  /** Fresh weights and optimizer state; made on demand, since `plan` needs none. */
  createState(): TrainState;
}

export interface SessionOptions {
  log?: (line: string) => void;
  /** Receives a message where something slower, or other than asked for, is used. */
  warn: (message: string) => void;
  /** Whether any plugin taps a hook. */
  isTapped: (hook: HookName) => boolean;
  /** The processes that train together. Default: this one alone. */
  group?: Group;
}

/** Loads what a config names. @throws TrainerError ERR_DATA, ERR_BACKEND, ERR_OPTION */
export async function createSession(
  config: ResolvedConfig,
  hooks: HookCalls,
  { log, warn, isTapped, group = alone }: SessionOptions,
): Promise<Session> {
  const { seed, batchSize } = config;
  if (config.backend) mustHavePrecision(config, config.backend);
  if (config.maxTime !== undefined && group.size > 1) {
    throw new TrainerError(
      "ERR_OPTION",
      "maxTime follows the clock of one process, and a group has several clocks. Set epochs in its place.",
    );
  }
  const data = await loadData(config.data, { log, warn });
  const backend = await startBackend(config, group, { log, warn });
  const inputSize = config.inputSize ?? data.height;
  const built = buildModel(config, hooks, { classes: data.classes.length, inputSize });
  const model = { ...built, layer: inPrecision(built.layer, config.precision) };
  const parameters = namedParameters(model.layer);
  const rules = updateRules(model, config.optimizer);
  const { available, indices, train, validation, test } = splitsOf(config, data, warn);

  const dropLast = leavesOneValue(model.layer, inputSize, train.length, batchSize, group.size);
  if (dropLast) {
    const what = group.size === 1 ? "one image" : "one image in a process";
    warn(`The last batch of an epoch is ${what}, too few for batch norm over 1 × 1 maps. It is left out.`);
  }
  const samples = dropLast ? train.length - (train.length % batchSize) : train.length;

  const common = { ...sizesOf(data), batchSize, seed };
  const loaders = {
    train: createLoader({
      ...common,
      split: train,
      shuffle: true,
      dropLast,
      group,
      order: isTapped("resolveOrder") ? (order, labels, epoch) => hooks.resolveOrder(order, labels, epoch) : undefined,
      region: isTapped("resolveCrop") ? (crop, source, epoch) => hooks.resolveCrop(crop, source, epoch) : undefined,
      transform: isTapped("beforeSample") ? (sample, epoch) => hooks.beforeSample(sample, epoch) : undefined,
    }),
    validation: validation && createLoader({ ...common, split: validation, shuffle: false }),
    test: test && createLoader({ ...common, split: test, shuffle: false }),
  };
  const groups = defaultGroups(model, parameters);
  const stepsAt = stepPlaces(loaders.train.batchesInEpoch, samples, batchSize, hooks, groups);
  return {
    backend,
    group,
    capture: config.capture ? createCapture(warn) : eager,
    // The indices below are places in what the limits left.
    data: { ...data, train: available, validation: data.validation && indices.validation, test },
    model,
    parameters,
    groups,
    inputSize,
    trainIndices: indices.train,
    validationIndices: indices.validation,
    loaders,
    samples: { train: train.length, validation: validation?.length ?? 0, test: test?.length ?? 0 },
    stepsAt,
    stepsPerEpoch: stepsAt.filter(Boolean).length,
    rules,
    createState: () => initialState(initialWeights(model.layer, seed), rules),
  };
}

/** @throws TrainerError ERR_OPTION for a precision that the backend does not have */
function mustHavePrecision({ precision }: ResolvedConfig, backend: BackendName): void {
  if (precision === "float32" || backend === "tensorflow") return;
  throw new TrainerError(
    "ERR_OPTION",
    `precision "${precision}" needs the tensorflow backend, and this run has ${backend}.`,
  );
}

/** Loads the backend, and joins the group. */
async function startBackend(
  config: ResolvedConfig,
  group: Group,
  { log, warn }: Pick<SessionOptions, "log" | "warn">,
): Promise<Backend> {
  const backend = await loadBackend({ name: config.backend, log: warn });
  const joined = await group.start(backend);
  if (joined !== undefined) log?.(`${joined} ${sharesOf(config.batchSize, group, backend)}`);
  mustHavePrecision(config, backend.name);
  if (config.precision === "bfloat16" && bfloat16Instructions()?.length === 0) {
    warn("This processor has no instructions for bfloat16: float32 is faster.");
  }
  return backend;
}

/** The images of each kind, and which of the `available` training images are for training and for validation. */
function splitsOf(config: ResolvedConfig, data: Data, warn: (message: string) => void) {
  const { seed, holdout, limitTrain, limitTest } = config;
  const { available, ...indices } = divide(data, { limitTrain, holdout, seed });
  for (const note of splitNotes(available.labels, indices, data.classes, data.validation ? 1 : holdout)) warn(note);
  const train = indices.validation.length === 0 ? available : subset(available, indices.train);
  const validation = indices.validation.length > 0 ? subset(available, indices.validation) : undefined;
  const { metric } = config.monitor;
  if (metric !== "loss") mustHaveValidation("monitor", metric, indices.validation, "monitor"); // the loss is the default
  const test = data.test && limitTest !== undefined ? limit(data.test, limitTest, seed) : data.test;
  return { available, indices, train, validation, test };
}

/** How a batch is shared out; @throws TrainerError ERR_OPTION for a batch with fewer images than processes */
function sharesOf(batchSize: number, { size }: Group, { threads }: Backend): string {
  if (batchSize < size) {
    throw new TrainerError(
      "ERR_OPTION",
      `expected a batch of at least one image for each of ${size} processes, got batchSize ${batchSize}. Raise it.`,
    );
  }
  const [least, most] = [Math.floor(batchSize / size), Math.ceil(batchSize / size)];
  const each = least === most ? String(least) : `${least} or ${most}`;
  return `Each trains on ${each} of the ${batchSize} images of a batch, with ${threads} thread${threads === 1 ? "" : "s"}.`;
}

/**
 * Whether the last batch of an epoch must be left out, since a norm would see one value a channel: its variance is zero,
 * and what it passes on is a constant.
 *
 * @throws TrainerError ERR_OPTION where that is so for every batch
 */
function leavesOneValue(
  layer: Layer,
  inputSize: number,
  images: number,
  batchSize: number,
  processes: number,
): boolean {
  const last = images % batchSize;
  const isAlone = (batch: number): boolean => batch > 0 && Math.floor(batch / processes) <= 1;
  if (!isAlone(batchSize) && !isAlone(last)) return false;
  const norm = normOverOnePosition(layer, inputSize);
  if (norm === undefined) return false;
  if (!isAlone(batchSize) && images > batchSize) return true;
  const got =
    processes > 1
      ? `batchSize ${batchSize} in ${processes} processes`
      : batchSize === 1
        ? "batchSize 1"
        : "one training image";
  throw new TrainerError(
    "ERR_OPTION",
    `Batch norm "${norm}" sees one value per channel: expected more than one image in a batch, or maps larger than ` +
      `1 × 1, got ${got} at ${inputSize} px. ` +
      "Raise batchSize or inputSize.",
  );
}

/** The first batch norm whose maps are 1 × 1 at this size, if there is one. */
function normOverOnePosition(layer: Layer, inputSize: number): string | undefined {
  const norms = [...namedBuffers(layer).keys()].filter((name) => name.endsWith(".running_var"));
  const paths = new Set(norms.map((name) => name.slice(0, -".running_var".length)));
  if (paths.size === 0) return undefined;
  let found: string | undefined;
  const weights = zeroWeights(layer);
  tf.tidy(() =>
    forward(layer, tf.zeros([1, inputSize, inputSize, 3]), {
      weights,
      observe: (path, output) => {
        if (paths.has(path) && output.shape.slice(1, -1).every((side) => side === 1)) found ??= path;
        return output;
      },
    }),
  );
  for (const value of weights.values()) value.dispose();
  return found;
}

const sizesOf = ({ height, width, mean, deviation }: Data) => ({ height, width, mean, deviation });

/** Two groups a stage of the model: what decays, and norms and biases, which do not. */
export function defaultGroups(model: Model, parameters: ReadonlyMap<string, Parameter>): ParamGroup[] {
  return model.stages.flatMap((parts, depth) =>
    [true, false].flatMap((decays) => {
      const names = [...parameters].flatMap(([name, parameter]) =>
        parameter.decays === decays && parts.some((part) => name.startsWith(`${part}.`)) ? [name] : [],
      );
      const name = `${parts[0]}${decays ? "" : " (norms and biases)"}`;
      const group = { name, depth, parameters: names, rateFactor: 1, trains: true, decayFactor: Number(decays) };
      return names.length > 0 ? [group] : [];
    }),
  );
}

/** Asks `shouldStep` of every place in an epoch: its answer must be a function of the place alone. */
function stepPlaces(
  batchesInEpoch: number,
  samples: number,
  batchSize: number,
  hooks: HookCalls,
  groups: readonly ParamGroup[],
): boolean[] {
  return Array.from({ length: batchesInEpoch }, (_, batchInEpoch) => {
    const left = samples - batchInEpoch * batchSize;
    const answer = hooks.shouldStep({
      epoch: 0,
      step: 0,
      microBatch: batchInEpoch,
      batchInEpoch,
      batchesInEpoch,
      samples: Math.min(batchSize, left),
      share: 0,
      groups,
      weights: new Map(),
    });
    return answer ?? true;
  });
}

/** What a tap may return, hook by hook. Cheap: these checks run at every call, that of values at an epoch's first batch. */
import type * as tf from "@tensorflow/tfjs-core";
import type { Rectangle, Sample, SourceImage } from "../data/dataset.js";
import { short } from "../format.js";
import type { Group } from "../group/group.js";
import type { Layer } from "../nn/layer.js";
import { show } from "../options.js";
import { type HookName, hookDefinitions } from "./hooks.js";
import type { Batch, Evaluation, Gradients, Metrics, ParamGroup, Step } from "./types.js";

/** What is wrong with the value that a tap of `hook` returned; `args` are what it received, `weighs` is the tap's option. */
export function problemWith(
  hook: HookName,
  next: unknown,
  args: readonly unknown[],
  { weighs = false } = {},
): string | undefined {
  if (next === undefined && hookDefinitions[hook].kind === "question") return undefined;
  if (next === undefined || next === null) return `it returned ${String(next)}. Return the value, changed or not.`;
  const problem = (checks[hook] as Check<unknown> | undefined)?.(next, args[0], args);
  if (problem !== undefined || hook !== "beforeBatch" || weighs) return problem;
  return wrongTargets(next as Batch, args as [Batch, Step]);
}

type Check<T> = (next: T, previous: T, args: readonly unknown[]) => string | undefined;

const layer: Check<Layer> = (next) =>
  typeof next.forward === "function" ? undefined : "expected a layer: { kind, forward, … }.";

const processes: Check<Group> = (next) =>
  typeof next.sum === "function" && next.rank >= 0 && next.rank < next.size
    ? undefined
    : `expected a group: { rank, size, start, sum }, got ${show(next)}.`;

const order: Check<Int32Array> = (next, previous) => {
  if (!(next instanceof Int32Array)) return `expected places as Int32Array, got ${show(next)}.`;
  if (next.length !== previous.length) return `expected ${previous.length} places, got ${next.length}.`;
  const outside = next.find((place) => place < 0 || place >= previous.length);
  return outside === undefined ? undefined : `expected places below ${previous.length}, got ${outside}.`;
};

const crop: Check<Rectangle> = (next, _, args) => {
  const { height, width } = args[1] as SourceImage;
  const { top, left } = next;
  const whole = [top, left, next.height, next.width].every(Number.isInteger);
  const inside = top >= 0 && left >= 0 && top + next.height <= height && left + next.width <= width;
  if (whole && inside && next.height > 0 && next.width > 0) return undefined;
  return `expected a region of whole pixels inside ${height} × ${width}, got ${show(next)}.`;
};

const sample: Check<Sample> = (next, previous) => {
  if (!(next.pixels instanceof Uint8Array))
    return `expected the sample's pixels as Uint8Array, got ${show(next.pixels)}.`;
  const bytes = next.height * next.width * 3;
  if (next.pixels.length !== bytes) {
    return `expected ${bytes} bytes for a sample of ${next.height} × ${next.width}, got ${next.pixels.length}.`;
  }
  if (next.index !== previous.index) return `expected the sample's own index ${previous.index}, got ${next.index}.`;
  return undefined;
};

const batch: Check<Batch> = (next, previous) => {
  const [size, classes] = previous.targets.shape;
  if (next.images?.rank !== 4 || next.images.shape[0] !== size || next.images.shape[3] !== 3) {
    return `expected images of [${size}, height, width, 3], got [${next.images?.shape}].`;
  }
  if (next.targets?.rank !== 2 || next.targets.shape[0] !== size || next.targets.shape[1] !== classes) {
    return `expected targets of [${size}, ${classes}], got [${next.targets?.shape}].`;
  }
  if (next.labels !== previous.labels || next.indices !== previous.indices) {
    return "labels and indices name the true images. Pass them on unchanged, and change targets instead.";
  }
  const lost = Object.keys(previous.more ?? {}).find((name) => !next.more?.[name]);
  if (lost !== undefined) return `the batch has lost "${lost}" of its "more". Return { ...batch, images, targets }.`;
  return undefined;
};

/** Values are read back: in an epoch's first batch alone. Targets that an earlier tap weighed are not looked at. */
function wrongTargets({ targets }: Batch, [previous, { batchInEpoch }]: [Batch, Step]): string | undefined {
  if (batchInEpoch > 0 || targets === previous.targets) return undefined;
  const problem = notDistributions(targets);
  return problem === undefined || notDistributions(previous.targets) ? undefined : problem;
}

/** NaN and infinity are for the step to report: they end it. */
function notDistributions(targets: tf.Tensor2D): string | undefined {
  const [, classes] = targets.shape;
  const values = targets.dataSync() as Float32Array;
  for (let row = 0; row < targets.shape[0]; row++) {
    const own = values.subarray(row * classes, (row + 1) * classes);
    const sum = own.reduce((total, value) => total + value, 0);
    const least = Math.min(...own);
    if (!(least < 0) && !(Math.abs(sum - 1) > 1e-3)) continue;
    const got = `${least < 0 ? short(least, 4) : `the sum ${short(sum, 4)}`} in row ${row}`;
    return `expected targets whose rows are distributions (0 or more, with the sum 1), got ${got}. A tap that weighs images says { weighs: true }.`;
  }
  return undefined;
}

const loss: Check<tf.Tensor> = (next) =>
  next.rank === 0 ? undefined : `expected a scalar loss, got a tensor of [${next.shape}].`;

const gradients: Check<Gradients> = (next, previous) => {
  if (!(next instanceof Map)) return `expected gradients as a Map from names to tensors, got ${show(next)}.`;
  if (next.size !== previous.size) return `expected ${previous.size} gradients, got ${next.size}.`;
  for (const [name, gradient] of next as Gradients) {
    const before = previous.get(name);
    if (!before) return `got a gradient of "${name}", which does not train.`;
    if (before.shape.join() !== gradient.shape.join()) {
      return `expected [${before.shape}] for the gradient of "${name}", got [${gradient.shape}].`;
    }
  }
  return undefined;
};

const weights: Check<ReadonlyMap<string, tf.Tensor>> = (next, previous) => {
  if (!(next instanceof Map)) return `expected weights as a Map from names to tensors, got ${show(next)}.`;
  if (next.size !== previous.size) return `expected ${previous.size} weights, got ${next.size}.`;
  for (const [name, value] of next as ReadonlyMap<string, tf.Tensor>) {
    const before = previous.get(name);
    if (!before) return `got a weight "${name}", unknown to the model.`;
    if (before.shape.join() !== value.shape.join()) {
      return `expected [${before.shape}] for the weight "${name}", got [${value.shape}].`;
    }
  }
  return undefined;
};

const groups: Check<readonly ParamGroup[]> = (next, previous) => {
  if (!Array.isArray(next)) return `expected a list of groups, got ${show(next)}.`;
  const seen = new Map<string, string>();
  for (const group of next as readonly ParamGroup[]) {
    if (!Number.isFinite(group.rateFactor) || group.rateFactor < 0) {
      return `expected a rate factor of 0 or more for group "${group.name}", got ${group.rateFactor}.`;
    }
    if (!Number.isFinite(group.decayFactor) || group.decayFactor < 0) {
      return `expected a decay factor of 0 or more for group "${group.name}", got ${group.decayFactor}.`;
    }
    for (const name of group.parameters) {
      if (seen.has(name)) return `"${name}" is in two groups, "${seen.get(name)}" and "${group.name}".`;
      seen.set(name, group.name);
    }
  }
  const lost = previous.flatMap((group) => group.parameters).find((name) => !seen.has(name));
  return lost === undefined ? undefined : `"${lost}" is in no group. To freeze it, set trains: false.`;
};

const rate: Check<number> = (next) =>
  typeof next === "number" && Number.isFinite(next) && next >= 0
    ? undefined
    : `expected a finite learning rate of 0 or more, got ${show(next)}.`;

const evaluation: Check<Evaluation> = (next, previous) => {
  if (!(next.views?.length > 0)) return "expected at least one view, got none.";
  const off = next.views.find(({ weight = 1 }) => !(weight > 0 && Number.isFinite(weight)));
  if (off) return `expected a weight above 0 for the view "${off.name}", got ${show(off.weight)}.`;
  for (const [name, value] of previous.weights) {
    const given = next.weights?.get(name);
    if (!given) return `expected the weights to have "${name}", got none.`;
    if (given.shape.join() !== value.shape.join()) {
      return `expected [${value.shape}] for the weight "${name}", got [${given.shape}].`;
    }
  }
  return undefined;
};

const metrics: Check<Metrics> = (next) =>
  typeof next.loss === "number" && typeof next.top1 === "number"
    ? undefined
    : `expected metrics with numbers loss and top1, got ${show(next)}.`;

const answer: Check<unknown> = (next) =>
  typeof next === "boolean" ? undefined : `expected true, false or undefined, got ${show(next)}.`;

const reason: Check<unknown> = (next) =>
  typeof next === "string" && next !== "" ? undefined : `expected a reason in words or undefined, got ${show(next)}.`;

const checks = {
  resolveGroup: processes,
  buildBlock: layer,
  buildHead: layer,
  buildNetwork: layer,
  resolveParamGroups: groups,
  resolveOrder: order,
  resolveCrop: crop,
  beforeSample: sample,
  beforeBatch: batch,
  afterLoss: loss,
  afterBackward: gradients,
  shouldStep: answer,
  resolveLearningRate: rate,
  beforeStep: gradients,
  afterStep: weights,
  beforeEvaluate: evaluation,
  afterEvaluate: metrics,
  shouldStop: reason,
} satisfies Partial<Record<HookName, Check<never>>> as Partial<Record<HookName, Check<never>>>;

/**
 * One micro-batch: forward, backward, and the optimizer's step where it is due.
 *
 * State goes in as tensors and comes out as new tensors, and no old tensor is freed before the loss and the gradients are
 * known to be finite: a step that fails has changed nothing. The two large parts, `differentiate` and `update`, are
 * functions of tensors alone, so that TensorFlow can run each as one graph; the hooks are called around them, and
 * `afterLoss` inside the first.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Capture } from "../backend/graph/capture.js";
import type { Compute, Draw, Reject, Tensors } from "../backend/graph/recorder.js";
import type { Split } from "../data/dataset.js";
import type { RawBatch } from "../data/loader.js";
import { TrainerError } from "../errors.js";
import type { Group } from "../group/group.js";
import { countTop1 } from "../metrics.js";
import { valueAndGradients } from "../nn/backward.js";
import { computeJoined } from "../nn/join.js";
import { forward, type Weights } from "../nn/layer.js";
import type { Loss } from "../nn/losses.js";
import type { Model } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import type { UpdateRule, UpdateRules } from "../nn/optimizers.js";
import { stream } from "../rng.js";
import { type ActiveTap, activeTaps, applyTaps, tapInputs } from "./after-step.js";
import { DivergedError, firstNotFinite } from "./divergence.js";
import type { AfterStepTap, HookCalls } from "./hook-set.js";
import { type LossOfStep, type LossTap, mustMoveWeights } from "./loss-taps.js";
import type { Batch, Gradients, ParamGroup, Progress, Step } from "./types.js";

/** Everything training changes, apart from what plugins keep. */
export interface TrainState {
  /** Parameters and running statistics. */
  weights: Weights;
  /** `<parameter>.<slot>` -> optimizer state. */
  slots: Weights;
  /** Parameter -> updates it has had. */
  counts: Map<string, number>;
  /** `<plugin>/<name>` -> what a tap of `afterStep` owns. */
  taps: Weights;
}

/** What stays the same from step to step of an epoch. */
export interface StepContext {
  model: Model;
  classes: number;
  height: number;
  width: number;
  inputSize: number;
  hooks: HookCalls;
  rules: UpdateRules;
  loss: Loss;
  learningRate: number;
  seed: number;
  groups: readonly ParamGroup[];
  /** Whether every tap of a hook is a function of tensors alone. */
  isPure(hook: "afterLoss" | "beforeStep"): boolean;
  /** The taps of `afterStep`. */
  afterStepTaps: readonly AfterStepTap[];
  /** The taps of `afterLoss`, for a step that fails. */
  afterLossTaps: readonly LossTap[];
  /** Runs the two functions of tensors that a step is made of. */
  capture: Capture;
  /** The processes that share a step's images. */
  group: Group;
  /** What a report of a failed step names: the training images, and where in them those trained on are. */
  images: { readonly split: Pick<Split, "describe" | "file">; readonly indices: ArrayLike<number> };
}

export interface StepResult {
  loss: number;
  /** Images whose true label had the largest logit, alone (`countTop1`). */
  correct: number;
  /** Number of processes that were asked to stop; all learn it in the same step. */
  stopping: number;
  /** Whether the optimizer stepped, and with what. */
  stepped?: { learningRate: number; gradientNorm: number };
}

/** Every slot of every parameter, zero. */
export function initialState(weights: Weights, rules: UpdateRules): TrainState {
  const slots: Weights = new Map();
  for (const [name, rule] of rules) {
    for (const slot of rule.slots) slots.set(`${name}.${slot}`, tf.zerosLike(weights.get(name)!));
  }
  return { weights, slots, counts: new Map(), taps: new Map() };
}

export function disposeState({ weights, slots, taps }: TrainState): void {
  for (const values of [weights, slots, taps]) for (const value of values.values()) value.dispose();
}

/** `FitContext.replaceWeights`: checks everything first, so that a mistake changes nothing. */
export function replaceWeights(state: TrainState, weights: ReadonlyMap<string, tf.Tensor>, { step }: Progress): void {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_PLUGIN", `Cannot replace weights: ${problem}`);
  };
  if (step > 0) refuse(`${step} steps are done. Replace them in onFitStart, before the first step.`);
  for (const [name, value] of weights) {
    const known = state.weights.get(name) ?? refuse(`the model has no weight "${name}".`);
    if (String(known.shape) !== String(value.shape))
      refuse(`expected [${known.shape}] for "${name}", got [${value.shape}].`);
  }
  commit(state.weights, new Map(weights));
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Runs one micro-batch and moves `state`. @throws TrainerError ERR_DIVERGED, ERR_PLUGIN, ERR_CONFIG; `state` is then as before */
export function runStep(
  context: StepContext,
  state: TrainState,
  raw: RawBatch,
  at: { microBatch: number; progress: Progress; stopping?: boolean },
): StepResult {
  const { hooks, groups, model, capture, group } = context;
  return tf.tidy(() => {
    const step: Mutable<Step> = {
      epoch: raw.epoch,
      step: at.progress.step,
      microBatch: at.microBatch,
      batchInEpoch: raw.batchInEpoch,
      batchesInEpoch: raw.batchesInEpoch,
      samples: raw.whole.indices.length,
      share: at.progress.step / at.progress.totalSteps,
      groups,
      weights: state.weights,
    };
    const batch = hooks.beforeBatch(toBatch(context, raw), step);
    step.batch = batch;

    const random = (path: string, shape: number[]): tf.Tensor => uniform(context.seed, path, at.microBatch, shape, raw);
    const ofLoss: LossOfStep = { loss: context.loss, taps: context.afterLossTaps, step };
    const mustBeFinite = (what: string, value: number, gradients?: Gradients): void => {
      if (Number.isFinite(value)) return;
      const { split, indices } = context.images;
      const samples = Array.from(raw.whole.indices, (place) => indices[place]!);
      throw new DivergedError({
        what,
        value,
        first: firstNotFinite(model, ofLoss, state.weights, random, gradients),
        epoch: at.progress.epoch,
        step: at.progress.step,
        microBatch: at.microBatch,
        learningRate: hooks.resolveLearningRate(context.learningRate, at.progress),
        samples,
        images: samples.map((sample) => split.file?.(sample).name ?? split.describe(sample)),
      });
    };

    const share = group.size > 1 ? { share: tf.scalar(raw.share, "float32") } : undefined;
    const own = capture.run(
      "forward and backward pass",
      differentiate(context, step),
      { ...differentiated(state, step), ...share },
      random,
    );
    step.logits = own.logits as tf.Tensor2D;
    const ownCorrect = countTop1(step.logits.dataSync() as Float32Array, context.classes, raw.labels);
    const counts = [raw.share > 0 ? ownCorrect : 0, Number(at.stopping ?? false)];
    // Everything below is the same in all processes.
    const passes = share ? summed(context, own, counts, random) : own;
    const [correct, stopping] = (passes.counts ? [...passes.counts.dataSync()] : counts) as [number, number];
    step.loss = numberIn(passes.loss!);
    mustBeFinite("loss", step.loss);
    mustBeFinite("sum of the running statistics' squares", numberIn(passes.squares!));
    const buffers = under("buffer/", passes);

    const found = under("gradient/", passes);
    if (at.microBatch === 0)
      mustMoveWeights(found, trainedOf(step), { ...ofLoss, model, weights: state.weights, uniform: random });
    const gradients = hooks.afterBackward(found, step);
    if (hooks.shouldStep(step) === false) {
      mustBeFinite("sum of the gradients' squares", numberIn(ops.squaredNorm([...gradients.values()])), gradients);
      commit(state.weights, buffers);
      return { loss: step.loss, correct, stopping };
    }
    const learningRate = hooks.resolveLearningRate(context.learningRate, at.progress);
    step.learningRate = learningRate;
    const used = context.isPure("beforeStep") ? gradients : hooks.beforeStep(gradients, step);
    const parts = partsOf(context, state, used, learningRate);
    const taps = activeTaps(context.afterStepTaps, at.progress);
    const next = capture.run(
      "optimizer's step",
      update(context, parts, step, taps),
      { ...updated(context, state, used, parts, taps), ...(taps.length > 0 ? prefixed("buffer/", buffers) : {}) },
      random,
    );
    const gradientNorm = Math.sqrt(numberIn(next.squares!));
    step.gradientNorm = gradientNorm;
    mustBeFinite("gradient norm", gradientNorm, used);
    mustBeFinite("sum of the new weights' squares", numberIn(next.size!), used);

    for (const name of used.keys()) state.counts.set(name, (state.counts.get(name) ?? 0) + 1);
    commit(state.weights, buffers);
    commit(state.weights, under("value/", next));
    commit(state.slots, under("slot/", next));
    commit(state.taps, under("tap/", next));
    hooks.onStep({ ...step, weights: state.weights });
    return { loss: step.loss, correct, stopping, stepped: { learningRate, gradientNorm } };
  });
}

const numberIn = (scalar: tf.Tensor): number => (scalar.dataSync() as Float32Array)[0]!;

/** Names with a prefix in front, and the values whose names have one, without it. */
const prefixed = (prefix: string, values: Iterable<readonly [string, tf.Tensor]>): Tensors =>
  Object.fromEntries([...values].map(([name, value]) => [prefix + name, value]));
const under = (prefix: string, values: Tensors): Map<string, tf.Tensor> =>
  new Map(
    Object.entries(values).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );

// ------------------------------------------------------------------------------------------ forward and backward

const trainedOf = ({ groups }: Pick<Step, "groups">): string[] =>
  groups.filter(({ trains }) => trains).flatMap(({ parameters }) => parameters);

/** What `differentiate` takes: the batch, the parameters that train, and the other weights. */
function differentiated({ weights }: TrainState, step: Step): Tensors {
  const trained = new Set(trainedOf(step));
  const values = [...weights].map(([name, value]): [string, tf.Tensor] => [
    `${trained.has(name) ? "trained" : "weight"}/${name}`,
    value,
  ]);
  const { images, targets, more = {} } = step.batch!;
  return { images, targets, ...prefixed("more/", Object.entries(more)), ...Object.fromEntries(values) };
}

/**
 * The loss of a batch, its logits, the next running statistics (`buffer/`) with the sum of their squares, and the
 * gradients of what trains (`gradient/`). With a `share` also the message to the other processes: what they sum, in one
 * vector, times that share of the whole batch.
 */
const differentiate =
  ({ model, hooks, isPure, loss }: StepContext, step: Mutable<Step>): Compute =>
  (inputs, draw, reject) => {
    if (!isPure("afterLoss")) reject('a tap of "afterLoss" does not say that it is pure');
    const weights = new Map([...under("trained/", inputs), ...under("weight/", inputs)]);
    const trained = trainedOf(step);
    const kept = new Map<string, tf.Tensor>(); // beyond the forward pass
    const keep = (name: string, value: tf.Tensor): void => {
      kept.get(name)?.dispose();
      kept.set(name, value);
    };
    try {
      const { value, gradients } = valueAndGradients(
        () => {
          const logits = forward(model.layer, inputs.images!, {
            weights,
            training: true,
            trained: new Set(trained),
            onBuffer: (name, buffer) => keep(`buffer/${name}`, buffer),
            uniform: draw,
          });
          keep("logits", tf.keep(logits.clone()));
          const seen = watched({ ...step, logits: logits as tf.Tensor2D }, reject);
          return hooks.afterLoss(loss.compute(logits, inputs.targets!) as tf.Scalar, seen);
        },
        trained.map((name) => weights.get(name)!),
      );
      const named = trained.flatMap((name, index) => (gradients[index] ? [[name, gradients[index]!] as const] : []));
      const buffers = [...kept].flatMap(([name, each]) => (name.startsWith("buffer/") ? [each] : []));
      const found: Tensors = {
        loss: value,
        squares: ops.squaredNorm(buffers),
        ...prefixed("gradient/", named),
        ...prefixed(
          "",
          [...kept].map(([name, each]) => [name, each.clone()] as const),
        ),
      };
      if (!inputs.share) return found;
      const vectors = summedOf(found).map(([, each]) => tf.reshape(each, [-1]) as tf.Tensor1D);
      return { ...found, message: tf.mul(tf.concat(vectors), inputs.share) };
    } finally {
      for (const value of kept.values()) value.dispose();
    }
  };

// -------------------------------------------------------------------------------------------- the sum of the processes

/** What processes sum: the loss, running statistics and gradients, each process' mean times its share. */
const summedOf = (passes: Tensors): [name: string, value: tf.Tensor][] =>
  Object.entries(passes).filter(([name]) => name === "loss" || /^(buffer|gradient)\//.test(name));

/**
 * The same figures of the whole batch: one message, then apart again. NaN and infinity in one process are in all sums, so
 * what is decided about them is decided alike. `counts` are summed as they are.
 */
function summed({ group, capture }: StepContext, own: Tensors, counts: readonly number[], draw: Draw): Tensors {
  const layout = summedOf(own).map(([name, { shape, size }]) => ({ name, shape, size }));
  const apart: Compute = ({ sum }) => {
    const vectors = tf.split(sum!, [...layout.map(({ size }) => size), counts.length]);
    const parts = layout.map(({ name, shape }, at) => [name, tf.reshape(vectors[at]!, shape)] as const);
    const buffers = parts.flatMap(([name, value]) => (name.startsWith("buffer/") ? [value] : []));
    return { ...Object.fromEntries(parts), counts: vectors.at(-1)!, squares: ops.squaredNorm(buffers) };
  };
  const sum = group.sum(tf.concat([own.message as tf.Tensor1D, tf.tensor1d([...counts])]));
  return capture.run("sum of the processes", apart, { sum }, draw);
}

/** What differs from step to step, and what of a batch is no tensor. */
const changing = ["step", "share", "microBatch", "batchInEpoch", "loss", "learningRate"] as const;
const changingOfBatch = ["labels", "indices"] as const;

/**
 * A step as taps in a graph see it. A tap that reads a per-step number cannot be captured: the graph would freeze it. The
 * epoch may be read, because computations are recorded again at its beginning.
 */
function watched(step: Step, reject: Reject): Step {
  const guard = <T extends object>(what: T, names: readonly (keyof T & string)[], whose: string): T =>
    Object.defineProperties(
      { ...what },
      Object.fromEntries(
        names
          .filter((name) => what[name] !== undefined)
          .map((name) => [
            name,
            {
              enumerable: true,
              get: () => (reject(`it looks at ${whose} ${name}`), what[name]),
            },
          ]),
      ),
    );
  const batch = step.batch && guard(step.batch, changingOfBatch, "the batch's");
  return guard({ ...step, batch }, changing, "the step's");
}

// --------------------------------------------------------------------------------------------- the optimizer's step

/** Parameters of one group and rule that have had as many updates: all that `factors` says is the same for them. */
interface Part {
  names: string[];
  rule: UpdateRule;
  factors: Readonly<Record<string, number>>;
}

function partsOf({ groups, rules }: StepContext, { counts }: TrainState, gradients: Gradients, rate: number): Part[] {
  return groups
    .filter(({ trains }) => trains)
    .flatMap(({ parameters, rateFactor, decayFactor }) => {
      const alike: { count: number; rule: UpdateRule; names: string[] }[] = [];
      for (const name of parameters.filter((each) => gradients.has(each))) {
        const [count, rule] = [(counts.get(name) ?? 0) + 1, rules.get(name)!];
        const known = alike.find((each) => each.count === count && each.rule === rule);
        if (known) known.names.push(name);
        else alike.push({ count, rule, names: [name] });
      }
      return alike.map(({ count, rule, names }) => ({
        names,
        rule,
        factors: rule.factors({ rate: rate * rateFactor, count, decayFactor }),
      }));
    });
}

/** What `update` takes, named by the part it belongs to, so that other parts are other inputs. */
function updated(
  { isPure }: StepContext,
  { weights, slots, taps: tapState }: TrainState,
  gradients: Gradients,
  parts: readonly Part[],
  taps: readonly ActiveTap[],
): Tensors {
  // Taps in the graph see every weight.
  const seen = isPure("beforeStep") || taps.length > 0;
  const others = [...weights].filter(([name]) => seen && !gradients.has(name));
  const inputs: Record<string, tf.Tensor> = { ...prefixed("weight/", others), ...tapInputs(taps, tapState) };
  parts.forEach(({ names, rule, factors }, part) => {
    for (const [factor, value] of Object.entries(factors)) inputs[`${part}/${factor}`] = tf.scalar(value, "float32");
    for (const name of names) {
      inputs[`${part}/value/${name}`] = weights.get(name)!;
      inputs[`${part}/gradient/${name}`] = gradients.get(name)!;
      for (const slot of rule.slots) inputs[`${part}/slot/${name}.${slot}`] = slots.get(`${name}.${slot}`)!;
    }
  });
  return inputs;
}

/**
 * The next parameters (`value/`), optimizer state (`slot/`) and state of `afterStep` (`tap/`), and the sums of squares of the
 * gradients (`squares`) and of the next parameters (`size`); `beforeStep` first where its taps are functions of tensors.
 */
const update =
  ({ hooks, isPure }: StepContext, parts: readonly Part[], step: Step, taps: readonly ActiveTap[]): Compute =>
  (inputs, _, reject) => {
    const next: Record<string, tf.Tensor> = {};
    const all = (what: string): Map<string, tf.Tensor> =>
      new Map(
        parts.flatMap(({ names }, part) => names.map((name) => [name, inputs[`${part}/${what}/${name}`]!] as const)),
      );
    const weights = new Map([...all("value"), ...under("weight/", inputs)]);
    const gradients = isPure("beforeStep")
      ? hooks.beforeStep(all("gradient"), watched({ ...step, weights }, reject))
      : all("gradient");
    parts.forEach((part, index) => {
      const of = (name: string): tf.Tensor => inputs[`${index}/${name}`]!;
      const factors = Object.fromEntries(Object.keys(part.factors).map((factor) => [factor, of(factor) as tf.Scalar]));
      const { rule } = part;
      const isVector = (name: string): boolean => !rule.whole && of(`value/${name}`).rank === 1;
      // Vectors are updated as one, everything else alone.
      const vectors = part.names.filter(isVector);
      const alone = part.names.filter((name) => !isVector(name)).map((name) => [name]);
      for (const names of vectors.length > 0 ? [vectors, ...alone] : alone) {
        const columns = [
          names.map((name) => of(`value/${name}`)),
          names.map((name) => gradients.get(name)!),
          ...rule.slots.map((slot) => names.map((name) => of(`slot/${name}.${slot}`))),
        ];
        const [values, ...slots] = computeJoined(columns, ([value, gradient, ...slotValues]) => {
          const [moved, state] = rule.update(value!, gradient!, slotValues, factors);
          return [moved, ...state];
        });
        names.forEach((name, place) => {
          next[`value/${name}`] = values![place]!;
          rule.slots.forEach((slot, which) => (next[`slot/${name}.${slot}`] = slots[which]![place]!));
        });
      }
    });
    if (taps.length > 0) {
      const moved = new Map([...under("buffer/", inputs), ...under("value/", next)]);
      const all = new Map([...weights, ...moved]);
      Object.assign(next, applyTaps(hooks.afterStep, taps, inputs, all, new Set(moved.keys())));
    }
    const values = Object.entries(next).flatMap(([name, value]) => (name.startsWith("value/") ? [value] : []));
    return { ...next, squares: ops.squaredNorm([...gradients.values()]), size: ops.squaredNorm(values) };
  };

/** Puts new values in the place of old ones and lets the old ones go. */
function commit(into: Weights, next: ReadonlyMap<string, tf.Tensor>): void {
  for (const [name, value] of next) {
    into.get(name)?.dispose();
    into.set(name, tf.keep(value));
  }
}

/** To the device: resized images and one-hot targets. */
function toBatch({ classes, height, width, inputSize }: StepContext, raw: RawBatch): Batch {
  const images = tf.tensor4d(raw.images, [raw.size, height, width, 3]);
  const oneHot = new Float32Array(raw.size * classes);
  raw.labels.forEach((label, row) => (oneHot[row * classes + label] = 1));
  return {
    images: ops.resize(images, inputSize, inputSize) as tf.Tensor4D,
    targets: tf.tensor2d(oneHot, [raw.size, classes]),
    labels: raw.labels,
    indices: raw.indices,
  };
}

/**
 * Uniform numbers for a random layer: a function of seed, layer and micro-batch, made here so that they can be fed. Drawn for the
 * whole batch, of which these are the rows of this process.
 */
function uniform(seed: number, path: string, microBatch: number, shape: number[], raw: RawBatch): tf.Tensor {
  const random = stream(seed, `layer/${path}`, microBatch);
  const size = tf.util.sizeFromShape(shape);
  const before = shape[0] === raw.size ? (size / raw.size) * raw.whole.from : 0;
  for (let n = 0; n < before; n++) random.uniform();
  return tf.tensor(Float32Array.from({ length: size }, random.uniform), shape, "float32");
}

/** What a step works with: the context that stays the same for an epoch, and the state that training changes. */
import * as tf from "@tensorflow/tfjs-core";
import type { Capture } from "../backend/graph/capture.js";
import type { Split } from "../data/dataset.js";
import { TrainerError } from "../errors.js";
import type { Group } from "../group/group.js";
import type { Weights } from "../nn/layer.js";
import type { Loss } from "../nn/losses.js";
import type { Model } from "../nn/model.js";
import type { UpdateRules } from "../nn/optimizers.js";
import type { AfterStepTap, HookCalls } from "./hook-set.js";
import type { LossTap } from "./loss-taps.js";
import type { ParamGroup, Progress } from "./types.js";

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

/** Puts new values in the place of old ones and lets the old ones go. */
export function commit(into: Weights, next: ReadonlyMap<string, tf.Tensor>): void {
  for (const [name, value] of next) {
    into.get(name)?.dispose();
    into.set(name, tf.keep(value));
  }
}

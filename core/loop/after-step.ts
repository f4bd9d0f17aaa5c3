/**
 * `afterStep`: taps that change the weights once the optimizer has moved them, inside the graph of the update. A tap owns
 * tensors by name, which the loop keeps as it keeps an optimizer's slots, and gets its numbers as scalars: a number that
 * it took from elsewhere would be frozen in the graph.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensors } from "../backend/graph/recorder.js";
import { TrainerError } from "../errors.js";
import type { Weights } from "../nn/layer.js";
import { under } from "./captured.js";
import type { AfterStepTap, HookCalls } from "./hook-set.js";
import type { AfterStepCall } from "./tap.js";
import type { Progress } from "./types.js";

/** A tap that runs in this step, with its numbers. */
export interface ActiveTap {
  readonly plugin: string;
  readonly numbers: Readonly<Record<string, number>>;
}

const nameOf = (plugin: string, name: string): string => `${plugin}/${name}`;

/**
 * Makes the first state of every tap from the weights, or checks the state of a run that resumes.
 *
 * @throws TrainerError ERR_RESUME for a state that the taps do not know, or lack
 */
export function prepareTapState(
  taps: readonly AfterStepTap[],
  { weights, taps: state }: { weights: Weights; taps: Weights },
  resumed: boolean,
): void {
  const first = new Map<string, tf.Tensor>();
  for (const { plugin, options } of taps) {
    for (const [name, value] of options.state?.(weights) ?? []) first.set(nameOf(plugin, name), value);
  }
  if (resumed) mustFit(first, state);
  // Copies of their own: a graph cannot tell two inputs apart that are one value.
  else for (const [name, value] of first) state.set(name, tf.keep(tf.tensor(value.dataSync().slice(), value.shape)));
}

function mustFit(expected: ReadonlyMap<string, tf.Tensor>, found: ReadonlyMap<string, tf.Tensor>): void {
  const refuse = (problem: string): never => {
    throw new TrainerError(
      "ERR_RESUME",
      `This run cannot resume from that state: ${problem}. Use the config that the state was saved with.`,
    );
  };
  for (const [name, { shape }] of expected) {
    const given = found.get(name) ?? refuse(`it has no afterStep state "${name}"`);
    if (String(given.shape) !== String(shape)) refuse(`expected [${shape}] for "${name}", got [${given.shape}]`);
  }
  const more = [...found.keys()].find((name) => !expected.has(name));
  if (more !== undefined) refuse(`it has the afterStep state "${more}", unknown to the run`);
}

/** The taps that run in the step after `progress`. */
export function activeTaps(taps: readonly AfterStepTap[], progress: Progress): ActiveTap[] {
  return taps.flatMap(({ plugin, options }) => {
    const numbers = options.numbers ? options.numbers(progress) : {};
    return numbers ? [{ plugin, numbers }] : [];
  });
}

/** What the update takes for its taps: their state, their numbers, and the weights that it does not move itself. */
export function tapInputs(taps: readonly ActiveTap[], state: ReadonlyMap<string, tf.Tensor>): Tensors {
  const inputs: Record<string, tf.Tensor> = {};
  for (const { plugin, numbers } of taps) {
    for (const [name, value] of Object.entries(numbers)) {
      inputs[`number/${nameOf(plugin, name)}`] = tf.scalar(value, "float32");
    }
    for (const [name, value] of state) if (name.startsWith(`${plugin}/`)) inputs[`tap/${name}`] = value;
  }
  return inputs;
}

/**
 * The weights that the taps changed (`value/`) and their next state (`tap/`).
 *
 * @param weights all weights, as the update and the forward pass leave them
 * @param updated names of those that this step changed
 */
export function applyTaps(
  hook: HookCalls["afterStep"],
  taps: readonly ActiveTap[],
  inputs: Tensors,
  weights: ReadonlyMap<string, tf.Tensor>,
  updated: ReadonlySet<string>,
): Tensors {
  const next: Record<string, tf.Tensor> = {};
  const active = new Map(taps.map(({ plugin, numbers }) => [plugin, Object.keys(numbers)]));
  const contextOf: AfterStepCall = (plugin) => {
    const names = active.get(plugin);
    if (!names) return undefined;
    const prefix = `tap/${plugin}/`;
    const state = under(prefix, inputs);
    return {
      updated,
      state,
      numbers: Object.fromEntries(names.map((name) => [name, inputs[`number/${nameOf(plugin, name)}`] as tf.Scalar])),
      setState(name, value) {
        const before = state.get(name);
        if (!before) throw new Error(`it has no state "${name}". Declare it in the option state of its tap.`);
        if (String(before.shape) !== String(value.shape)) {
          throw new Error(`expected [${before.shape}] for its state "${name}", got [${value.shape}].`);
        }
        next[prefix + name] = value.clone(); // one value may be weight and state, with an owner each
      },
    };
  };
  for (const [name, value] of hook(weights, contextOf)) {
    if (value !== weights.get(name)) next[`value/${name}`] = value.clone();
  }
  return next;
}

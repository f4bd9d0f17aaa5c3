/** The optimizer's step, as a function of tensors that TensorFlow can run as one graph. */
import * as tf from "@tensorflow/tfjs-core";
import type { Compute, Draw, Tensors } from "../backend/graph/recorder.js";
import { computeJoined } from "../nn/join.js";
import * as ops from "../nn/ops.js";
import type { UpdateRule } from "../nn/optimizers.js";
import { type ActiveTap, activeTaps, applyTaps, tapInputs } from "./after-step.js";
import { numberIn, prefixed, under, watched } from "./captured.js";
import type { StepContext, TrainState } from "./state.js";
import type { Gradients, Progress, Step } from "./types.js";

/** Parameters of one group and rule that have had as many updates: all that `factors` says is the same for them. */
interface Part {
  names: string[];
  rule: UpdateRule;
  factors: Readonly<Record<string, number>>;
}

/** What the optimizer's step gives: tensors by name, not yet the state's, and numbers to judge them by. */
export interface Update {
  /** The next parameters, and other weights that taps of `afterStep` changed. */
  readonly values: ReadonlyMap<string, tf.Tensor>;
  readonly slots: ReadonlyMap<string, tf.Tensor>;
  readonly taps: ReadonlyMap<string, tf.Tensor>;
  /** Norm of all gradients together. */
  readonly gradientNorm: number;
  /** Sum of the squares of `values`. */
  readonly squares: number;
}

/**
 * The optimizer's step with `step.learningRate`; `beforeStep` first where its taps are functions of tensors.
 *
 * @param buffers the running statistics after the forward pass, for taps of `afterStep`
 */
export function optimizerStep(
  context: StepContext,
  state: TrainState,
  step: Step,
  { gradients, buffers }: { gradients: Gradients; buffers: ReadonlyMap<string, tf.Tensor> },
  progress: Progress,
  draw: Draw,
): Update {
  const parts = partsOf(context, state, gradients, step.learningRate!);
  const taps = activeTaps(context.afterStepTaps, progress);
  const inputs = {
    ...inputsOf(context, state, gradients, parts, taps),
    ...(taps.length > 0 ? prefixed("buffer/", buffers) : {}),
  };
  const next = context.capture.run("optimizer's step", update(context, parts, step, taps), inputs, draw);
  return {
    values: under("value/", next),
    slots: under("slot/", next),
    taps: under("tap/", next),
    gradientNorm: Math.sqrt(numberIn(next.squares!)),
    squares: numberIn(next.size!),
  };
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
function inputsOf(
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

/** The tensors of an `Update` by kind (`value/`, `slot/`, `tap/`), and the sums of squares of gradients and of values. */
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
    parts.forEach((part, index) => Object.assign(next, updatedPart(part, under(`${index}/`, inputs), gradients)));
    if (taps.length > 0) {
      const moved = new Map([...under("buffer/", inputs), ...under("value/", next)]);
      const after = new Map([...weights, ...moved]);
      Object.assign(next, applyTaps(hooks.afterStep, taps, inputs, after, new Set(moved.keys())));
    }
    const values = [...under("value/", next).values()];
    return { ...next, squares: ops.squaredNorm([...gradients.values()]), size: ops.squaredNorm(values) };
  };

/** The next values and slots of a part's parameters. Vectors are updated as one, everything else alone. */
function updatedPart(
  { names, rule, factors }: Part,
  inputs: ReadonlyMap<string, tf.Tensor>,
  gradients: Gradients,
): Tensors {
  const next: Record<string, tf.Tensor> = {};
  const of = (name: string): tf.Tensor => inputs.get(name)!;
  const scalars = Object.fromEntries(Object.keys(factors).map((factor) => [factor, of(factor) as tf.Scalar]));
  const isVector = (name: string): boolean => !rule.whole && of(`value/${name}`).rank === 1;
  const vectors = names.filter(isVector);
  const alone = names.filter((name) => !isVector(name)).map((name) => [name]);
  for (const joined of vectors.length > 0 ? [vectors, ...alone] : alone) {
    const columns = [
      joined.map((name) => of(`value/${name}`)),
      joined.map((name) => gradients.get(name)!),
      ...rule.slots.map((slot) => joined.map((name) => of(`slot/${name}.${slot}`))),
    ];
    const [values, ...slots] = computeJoined(columns, ([value, gradient, ...slotValues]) => {
      const [moved, state] = rule.update(value!, gradient!, slotValues, scalars);
      return [moved, ...state];
    });
    joined.forEach((name, place) => {
      next[`value/${name}`] = values![place]!;
      rule.slots.forEach((slot, which) => (next[`slot/${name}.${slot}`] = slots[which]![place]!));
    });
  }
  return next;
}

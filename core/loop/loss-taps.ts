/**
 * What the loss is made of: the config's loss, then each tap of `afterLoss`. Says where a loss that fails went wrong. It computes
 * the forward pass again, and is for a step that has failed already.
 */
import type * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { valueAndGradients } from "../nn/backward.js";
import { forward, type Weights } from "../nn/layer.js";
import type { Loss } from "../nn/losses.js";
import type { Model } from "../nn/model.js";
import { numberIn } from "./captured.js";
import type { Gradients, Step } from "./types.js";

/** One tap of `afterLoss`. */
export interface LossTap {
  readonly plugin: string;
  readonly apply: (loss: tf.Scalar, step: Step) => tf.Scalar;
}

/** How the loss of a step is computed. `logits` are those of the step's forward pass. */
export interface LossOfStep {
  readonly loss: Loss;
  readonly taps: readonly LossTap[];
  readonly step: Step;
}

/** The loss itself, then what each tap made of it. */
function* stagesOf(
  { loss, taps, step }: LossOfStep,
  logits: tf.Tensor,
): Generator<{ plugin?: string; value: tf.Scalar }> {
  let value = loss.compute(logits, step.batch!.targets) as tf.Scalar;
  yield { value };
  for (const { plugin, apply } of taps) {
    value = apply(value, { ...step, logits: logits as tf.Tensor2D });
    yield { plugin, value };
  }
}

/** Where a loss of finite logits is not finite first, in words; undefined where it is finite. */
export function notFiniteLoss(of: LossOfStep, logits: tf.Tensor): string | undefined {
  for (const { plugin, value } of stagesOf(of, logits)) {
    if (Number.isFinite(numberIn(value))) continue;
    return plugin === undefined
      ? `the loss "${of.loss.name}"`
      : `the loss that plugin "${plugin}" returned in afterLoss`;
  }
  return undefined;
}

const areZero = (gradients: Iterable<tf.Tensor | undefined>): boolean =>
  [...gradients].every((each) => each?.dataSync().every((value) => value === 0) ?? true);

/**
 * Refuses a loss that moves no weight: one that no operation connects with the network, or whose gradients are all zero. Reads
 * back gradients until one is not zero: for the first step of a run.
 *
 * @param trained names of the weights that train
 * @throws TrainerError ERR_PLUGIN that names the tap that cut the connection, ERR_CONFIG for a loss or network that has none
 */
export function mustMoveWeights(
  gradients: Gradients,
  trained: readonly string[],
  {
    model,
    weights,
    uniform,
    ...of
  }: LossOfStep & { model: Model; weights: Weights; uniform: (path: string, shape: number[]) => tf.Tensor },
): void {
  if (trained.length === 0 || !areZero(gradients.values())) return;
  const { loss, taps, step } = of;
  if (gradients.size > 0 && numberIn(loss.compute(step.logits!, step.batch!.targets)) === 0) return; // nothing left to learn
  const what = gradients.size === 0 ? "no weight has a gradient" : "the gradient of every weight is 0";
  const found = `The first step cannot train: ${what}.`;
  const advice =
    "Compute it from the values that come in, by operations of TensorFlow.js: a new tf.scalar, or a number read with " +
    "dataSync, has no gradient.";
  /** Whether the loss after so many taps moves no weight. */
  const isCut = (count: number): boolean => {
    const { gradients } = valueAndGradients(
      () => {
        const logits = forward(model.layer, step.batch!.images, {
          weights,
          training: true,
          trained: new Set(trained),
          uniform,
        });
        return [...stagesOf({ loss, step, taps: taps.slice(0, count) }, logits)].at(-1)!.value;
      },
      trained.map((name) => weights.get(name)!),
    );
    return areZero(gradients);
  };
  const at = [...taps.keys()].find((index) => isCut(index + 1));
  if (at !== undefined && !isCut(0)) {
    const { plugin } = taps[at]!;
    const message = `${found} Plugin "${plugin}" returned a loss in hook "afterLoss" that does not depend on the one it received. ${advice}`;
    throw new TrainerError("ERR_PLUGIN", message, { plugin, hook: "afterLoss" });
  }
  const { gradients: byLogits } = valueAndGradients(
    () => loss.compute(step.logits!, step.batch!.targets) as tf.Scalar,
    [step.logits!],
  );
  throw new TrainerError(
    "ERR_CONFIG",
    areZero(byLogits)
      ? `${found} The loss "${loss.name}" does not depend on the logits. ${advice}`
      : `${found} The logits do not depend on the weights: look for a layer of the model or of a plugin that multiplies by 0, ` +
          "or that makes a new tensor without operations of TensorFlow.js.",
  );
}

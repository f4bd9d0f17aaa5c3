/** Forward and backward pass of one micro-batch: a function of tensors, so that TensorFlow can run it as one graph. */
import * as tf from "@tensorflow/tfjs-core";
import type { Compute, Draw, Tensors } from "../backend/graph/recorder.js";
import { valueAndGradients } from "../nn/backward.js";
import { forward } from "../nn/layer.js";
import * as ops from "../nn/ops.js";
import { prefixed, under, watched } from "./captured.js";
import { messageOf } from "./group-sum.js";
import type { StepContext, TrainState } from "./state.js";
import type { Step } from "./types.js";

/** Names of the parameters that train, group by group. */
export const trainedOf = ({ groups }: Pick<Step, "groups">): string[] =>
  groups.filter(({ trains }) => trains).flatMap(({ parameters }) => parameters);

/**
 * The loss of a step's batch, its logits, the next running statistics (`buffer/`) with the sum of their `squares`, and the
 * gradients of what trains (`gradient/`). In a group also the `message` to the other processes.
 *
 * @param share part of the whole batch that this process has, 0 to 1
 */
export function forwardAndBackward(
  context: StepContext,
  state: TrainState,
  step: Step,
  share: number,
  draw: Draw,
): Tensors {
  const ofGroup = context.group.size > 1 ? { share: tf.scalar(share, "float32") } : undefined;
  const inputs = { ...inputsOf(state, step), ...ofGroup };
  return context.capture.run("forward and backward pass", differentiate(context, step), inputs, draw);
}

/** What `differentiate` takes: the batch, the parameters that train, and the other weights. */
function inputsOf({ weights }: TrainState, step: Step): Tensors {
  const trained = new Set(trainedOf(step));
  const values = [...weights].map(([name, value]): [string, tf.Tensor] => [
    `${trained.has(name) ? "trained" : "weight"}/${name}`,
    value,
  ]);
  const { images, targets, more = {} } = step.batch!;
  return { images, targets, ...prefixed("more/", Object.entries(more)), ...Object.fromEntries(values) };
}

const differentiate =
  ({ model, hooks, isPure, loss }: StepContext, step: Step): Compute =>
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
        ...Object.fromEntries([...kept].map(([name, each]) => [name, each.clone()])),
      };
      return inputs.share ? { ...found, message: messageOf(found, inputs.share) } : found;
    } finally {
      for (const value of kept.values()) value.dispose();
    }
  };

/** Coupled weight decay: adds the gradient of (decay / 2) |w|^2, as PyTorch's and Paddle's SGD. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Gradients, type Step } from "../../core/index.js";

const options = z.strictObject({
  decay: z.number().min(0).default(1e-4).describe("PyTorch's weight_decay; twice the x of Keras' l2(x)"),
});

/** g + decay * decayFactor * w, with the factor of the parameter's group: norms and biases are unchanged by default. */
export function decayed(
  gradients: Gradients,
  { groups, weights }: Pick<Step, "groups" | "weights">,
  decay: number,
): Gradients {
  const factors = new Map(
    groups.flatMap(({ parameters, decayFactor }) => parameters.map((name) => [name, decayFactor] as const)),
  );
  return new Map(
    [...gradients].map(([name, gradient]) => {
      const share = decay * (factors.get(name) ?? 0);
      return [name, share > 0 ? tf.add(gradient, tf.mul(weights.get(name)!, share)) : gradient];
    }),
  );
}

export const l2 = definePlugin({
  name: "l2",
  summary: "Coupled weight decay (L2) on kernels",
  options,
  check({ decay }, { optimizer }) {
    if (decay === 0 || optimizer.weightDecay === 0) return [];
    const text =
      `Weights would decay twice: plugin "l2" adds ${decay} to the gradients, and optimizer "${optimizer.name}" decays ` +
      `by ${optimizer.weightDecay} itself. Set weightDecay: 0 in the optimizer, or remove "l2".`;
    return [{ level: "error", text }];
  },
  apply({ decay }, { hooks }) {
    // Late: PyTorch clips the gradient of the loss before its optimizer adds decay.
    hooks.beforeStep.tap({ stage: "late", pure: true }, (gradients, step) =>
      decay === 0 ? gradients : decayed(gradients, step, decay),
    );
  },
});

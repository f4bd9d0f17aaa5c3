/** Linear warm-up (Goyal et al. 2017): the rate grows over the first epochs, whatever schedule it follows. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  epochs: z.number().min(0).default(5).describe("how long the rate grows; 0 for no warm-up"),
});

/** min(1, (t + 1) / T): the first of T steps has 1 / T of the rate, the last all of it. Section 2.2. */
export function warmth(step: number, steps: number): number {
  return step + 1 >= steps ? 1 : (step + 1) / steps;
}

export const warmup = definePlugin({
  name: "warmup",
  summary: "Grows the rate linearly over the first epochs, under any schedule",
  options,
  check({ epochs }, config) {
    if (epochs < config.epochs) return [];
    const text = `Warm-up of ${epochs} epochs fills the run of ${config.epochs}: the full rate comes at its end, if at all.`;
    return [{ level: "hint", text }];
  },
  apply({ epochs }, { hooks }) {
    hooks.resolveLearningRate.tap(
      { stage: "late" },
      (rate, { step, stepsPerEpoch }) => rate * warmth(step, Math.round(epochs * stepsPerEpoch)),
    );
  },
});

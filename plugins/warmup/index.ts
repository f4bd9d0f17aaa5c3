/** Linear warm-up (Goyal et al. 2017): raises the learning rate over the first epochs, under any schedule. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  epochs: z.number().min(0).default(5).describe("epochs of the warm-up; 0 for none"),
});

/** min(1, (t + 1) / T): the first of T steps has 1 / T of the rate, the last all of it. Section 2.2. */
export function warmth(step: number, steps: number): number {
  return step + 1 >= steps ? 1 : (step + 1) / steps;
}

export const warmup = definePlugin({
  name: "warmup",
  summary: "Raises the learning rate linearly over the first epochs, under any schedule",
  options,
  check({ epochs }, config) {
    if (config.epochs === undefined || epochs < config.epochs) return [];
    const text = `Warm-up of ${epochs} epochs covers the whole run of ${config.epochs}, which reaches the full rate at its end or never. Use fewer epochs of warm-up.`;
    return [{ level: "hint", text }];
  },
  apply({ epochs }, { hooks }) {
    hooks.resolveLearningRate.tap(
      { stage: "late" },
      (rate, { step, stepsPerEpoch }) => rate * warmth(step, Math.round(epochs * stepsPerEpoch)),
    );
  },
});

/** Cosine annealing (Loshchilov and Hutter 2017) over the whole run, without restarts. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  minimum: z.number().min(0).default(0).describe("lowest rate, at the end of the run"),
});

/** eta = min + (peak - min) / 2 (1 + cos(pi t / T)): equation 5 with one cycle. The peak at t = 0, min at t = T. */
export function annealed(step: number, steps: number, peak: number, minimum: number): number {
  return minimum + ((peak - minimum) / 2) * (1 + Math.cos((Math.PI * step) / steps));
}

export const cosine = definePlugin({
  name: "cosine",
  summary: "Cosine schedule: lowers the learning rate along half a cosine over the run",
  options,
  slot: "schedule",
  apply({ minimum }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) => annealed(step, totalSteps, rate, minimum));
  },
});

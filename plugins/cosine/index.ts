/** Cosine annealing (Loshchilov and Hutter 2017) over the whole run, without restarts. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  minimum: z.number().min(0).default(0).describe("the rate that the run falls towards"),
});

/** eta = min + (peak - min) / 2 (1 + cos(pi t / T)): equation 5 with one cycle. The peak at t = 0, min at t = T. */
export function annealed(step: number, steps: number, peak: number, minimum: number): number {
  return minimum + ((peak - minimum) / 2) * (1 + Math.cos((Math.PI * step) / steps));
}

export const cosine = definePlugin({
  name: "cosine",
  summary: "Lowers the rate along half a cosine over the whole run",
  options,
  slot: "schedule",
  apply({ minimum }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) => annealed(step, totalSteps, rate, minimum));
  },
});

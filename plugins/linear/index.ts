/** A learning rate along two straight lines: up to its peak, then down (the triangle of fast CIFAR recipes). */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  start: z.number().min(0).max(1).default(0.2).describe("the first rate as a share of the peak"),
  peak: z.number().min(0).lt(1).default(0.23).describe("share of the run until the rate is highest"),
  end: z.number().min(0).max(1).default(0.07).describe("the last rate as a share of the peak"),
});
type Options = z.output<typeof options>;

/** `highest` times a share that goes start -> 1 -> end, linear in between; `step` from 0, `steps` in all. */
export function linearRate(step: number, steps: number, highest: number, { start, peak, end }: Options): number {
  const top = Math.floor(peak * steps); // a whole step, so that the peak is reached
  if (step < top) return highest * (start + ((1 - start) * step) / top);
  return highest * (1 + ((end - 1) * (step - top)) / (steps - top));
}

export const linear = definePlugin({
  name: "linear",
  summary: "Raises the learning rate to its peak along a line, then lowers it along another",
  options,
  slot: "schedule",
  apply(settings, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) => linearRate(step, totalSteps, rate, settings));
  },
});

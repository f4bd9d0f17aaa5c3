/** The one-cycle schedule (Smith and Topin 2018) in PyTorch's form with two phases. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  pctStart: z.number().min(0).lt(1).default(0.3).describe("share of the run with a rising rate"),
  divFactor: z.number().positive().default(25).describe("the first rate is the peak divided by this"),
  finalDivFactor: z.number().positive().default(1e4).describe("the last rate is the first divided by this"),
});
type Options = z.output<typeof options>;

/** From `start` at share 0 to `end` at share 1, along half a cosine. */
const along = (start: number, end: number, share: number): number =>
  end + ((start - end) / 2) * (1 + Math.cos(Math.PI * share));

/** Up to the peak at step pctStart * steps - 1, down to the end at the last step: `OneCycleLR`'s cosine form. */
export function oneCycleRate(step: number, steps: number, peak: number, settings: Options): number {
  const { pctStart, divFactor, finalDivFactor } = settings;
  const first = peak / divFactor;
  const top = pctStart * steps - 1;
  if (step <= top && top > 0) return along(first, peak, step / top);
  const share = (step - top) / (steps - 1 - top);
  return along(peak, first / finalDivFactor, share);
}

export const oneCycle = definePlugin({
  name: "one-cycle",
  summary: "One-cycle schedule: raises the learning rate to its peak, then lowers it",
  options,
  slot: "schedule",
  apply(settings, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) => oneCycleRate(step, totalSteps, rate, settings));
  },
});

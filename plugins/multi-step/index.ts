/** Step decay: multiplies the learning rate by a factor at given epochs, as in the recipes for residual networks. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  milestones: z.array(z.number().min(0)).default([60, 120, 160]).describe("epochs after which the rate drops"),
  gamma: z.number().positive().default(0.2).describe("factor at each milestone"),
});

/** peak * gamma^(milestones passed): `MultiStepLR`. Zagoruyko and Komodakis 2016, section 3, has the defaults. */
export function stepped(epoch: number, peak: number, milestones: readonly number[], gamma: number): number {
  return peak * gamma ** milestones.filter((milestone) => milestone <= epoch).length;
}

export const multiStep = definePlugin({
  name: "multi-step",
  summary: "Step schedule: multiplies the learning rate by a factor at given epochs",
  options,
  slot: "schedule",
  check({ milestones }, { epochs }) {
    if (epochs === undefined) return []; // of a given time
    const never = milestones.filter((milestone) => milestone >= epochs);
    if (never.length === 0) return [];
    return [{ level: "hint", text: `multi-step never reaches ${never.join(", ")}: the run has ${epochs} epochs.` }];
  },
  apply({ milestones, gamma }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, stepsPerEpoch }) =>
      stepped(step / stepsPerEpoch, rate, milestones, gamma),
    );
  },
});

/** Step schedule: multiplies the learning rate by a factor every few epochs. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  every: z.number().positive().default(30).describe("epochs between two drops"),
  gamma: z.number().positive().default(0.1).describe("factor at each drop"),
});

/** peak * gamma^floor(epoch / every): `StepLR`. */
export function steppedEvery(epoch: number, peak: number, every: number, gamma: number): number {
  return peak * gamma ** Math.floor(epoch / every);
}

export const step = definePlugin({
  name: "step",
  summary: "Multiplies the learning rate by a factor every few epochs",
  options,
  slot: "schedule",
  apply({ every, gamma }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step: at, stepsPerEpoch }) =>
      steppedEvery(at / stepsPerEpoch, rate, every, gamma),
    );
  },
});

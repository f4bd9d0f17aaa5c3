/** Polynomial schedule: the learning rate falls with a power of what is left of the run; power 1 is a straight line. */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  power: z.number().positive().default(1).describe("exponent of the share of the run that is left"),
  minimum: z.number().min(0).default(0).describe("lowest rate, at the end of the run"),
});

/** minimum + (peak - minimum) (1 - step / steps)^power: `PolynomialLR` where the minimum is 0. */
export function polynomialRate(step: number, steps: number, peak: number, power: number, minimum: number): number {
  return minimum + (peak - minimum) * (1 - step / steps) ** power;
}

export const polynomial = definePlugin({
  name: "polynomial",
  summary: "Lowers the learning rate with a power of what is left of the run",
  options,
  slot: "schedule",
  apply({ power, minimum }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) =>
      polynomialRate(step, totalSteps, rate, power, minimum),
    );
  },
});

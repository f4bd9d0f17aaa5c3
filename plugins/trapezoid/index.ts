/** Trapezoid schedule (warm up, hold, cool down): a run can be lengthened before its cool-down (Hägele et al. 2024). */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  warmUp: z.number().min(0).max(1).default(0.05).describe("share of the run in which the rate rises to its peak"),
  coolDown: z.number().min(0).max(1).default(0.2).describe("share of the run, at its end, in which the rate falls"),
  end: z.number().min(0).max(1).default(0).describe("the rate after the last step, as a share of the peak"),
});
type Options = z.output<typeof options>;

/** The peak times min(1, (step + 1) / rising), times a line from 1 to `end` over the falling steps at the end. */
export function trapezoidRate(step: number, steps: number, peak: number, { warmUp, coolDown, end }: Options): number {
  const [rising, falling] = [Math.round(warmUp * steps), Math.round(coolDown * steps)];
  const up = rising > 0 ? Math.min(1, (step + 1) / rising) : 1;
  const since = step - (steps - falling);
  return peak * up * (since > 0 ? 1 + ((end - 1) * since) / falling : 1);
}

export const trapezoid = definePlugin({
  name: "trapezoid",
  summary: "Raises the learning rate along a line, holds it, and lowers it along a line at the end",
  options,
  slot: "schedule",
  check({ warmUp, coolDown }) {
    if (warmUp + coolDown <= 1) return [];
    const text = `trapezoid: expected warmUp + coolDown of at most 1, got ${warmUp} + ${coolDown}. Lower one of them.`;
    return [{ level: "error", text }];
  },
  apply(given, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, totalSteps }) => trapezoidRate(step, totalSteps, rate, given));
  },
});

/** Cosine annealing with warm restarts (Loshchilov and Hutter 2017). */
import { z } from "zod";
import { cycleAt, definePlugin } from "../../core/index.js";

const options = z.strictObject({
  firstCycle: z.int().positive().default(10).describe("epochs of the first cycle, T_0"),
  factor: z.int().positive().default(2).describe("length of a cycle relative to the previous one, T_mult"),
  minimum: z.number().min(0).default(1e-6).describe("lowest rate of a cycle, eta_min"),
});

/** eta = min + (peak - min) / 2 (1 + cos(pi T_cur / T_i)): equation 5, T in optimizer steps. */
export function restartedCosine(step: number, peak: number, first: number, factor: number, minimum: number): number {
  const { start, length } = cycleAt(step, first, factor);
  return minimum + ((peak - minimum) / 2) * (1 + Math.cos((Math.PI * (step - start)) / length));
}

export const cosineRestarts = definePlugin({
  name: "cosine-restarts",
  summary: "Cosine schedule with warm restarts, each cycle longer than the last",
  options,
  slot: "schedule",
  check({ firstCycle, factor }, { epochs }) {
    if (epochs === undefined) return []; // of a given time
    const { start, length } = cycleAt(epochs - 1, firstCycle, factor);
    if (start + length === epochs) return [];
    const ends = [start, start + length].filter((end) => end > 0).join(" or ");
    const text =
      `The run ends after ${epochs} epochs, within a cycle of cosine-restarts (epochs ${start + 1} to ` +
      `${start + length}), before the rate is at its lowest. Whole cycles end after ${ends} epochs.`;
    return [{ level: "hint", text }];
  },
  apply({ firstCycle, factor, minimum }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, stepsPerEpoch }) =>
      restartedCosine(step, rate, firstCycle * stepsPerEpoch, factor, minimum),
    );
  },
});

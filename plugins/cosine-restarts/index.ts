/** Cosine annealing with warm restarts (Loshchilov and Hutter 2017). */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  firstCycle: z.int().positive().default(10).describe("epochs of the first cycle: T_0"),
  factor: z.int().positive().default(2).describe("each cycle is so many times as long as the one before: T_mult"),
  minimum: z.number().min(0).default(1e-6).describe("the rate that a cycle falls towards: eta_min"),
});

/**
 * The cycle that a place is in. Counted in whole numbers: a logarithm is off by one at exact restarts (log 243 to the
 * base 3 is 4.999…), and that one step would have the lowest rate in place of the highest.
 */
export function cycleAt(place: number, first: number, factor: number): { start: number; length: number } {
  let start = 0;
  let length = first;
  while (place >= start + length) {
    start += length;
    length *= factor;
  }
  return { start, length };
}

/** eta = min + (peak - min) / 2 (1 + cos(pi T_cur / T_i)): equation 5, T in optimizer steps. */
export function restartedCosine(step: number, peak: number, first: number, factor: number, minimum: number): number {
  const { start, length } = cycleAt(step, first, factor);
  return minimum + ((peak - minimum) / 2) * (1 + Math.cos((Math.PI * (step - start)) / length));
}

export const cosineRestarts = definePlugin({
  name: "cosine-restarts",
  summary: "Lowers the rate along half a cosine, then starts again from the peak, each cycle longer",
  options,
  slot: "schedule",
  check({ firstCycle, factor }, { epochs }) {
    const { start, length } = cycleAt(epochs - 1, firstCycle, factor);
    if (start + length === epochs) return [];
    const ends = [start, start + length].filter((end) => end > 0).join(" or ");
    const text =
      `The run ends after ${epochs} epochs, inside a cycle of cosine-restarts (epochs ${start + 1} to ` +
      `${start + length}), where the rate is not at its lowest. Whole cycles end after ${ends} epochs.`;
    return [{ level: "hint", text }];
  },
  apply({ firstCycle, factor, minimum }, { hooks }) {
    hooks.resolveLearningRate.tap((rate, { step, stepsPerEpoch }) =>
      restartedCosine(step, rate, firstCycle * stepsPerEpoch, factor, minimum),
    );
  },
});

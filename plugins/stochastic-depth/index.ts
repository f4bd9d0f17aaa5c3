/** Stochastic depth (Huang et al. 2016): residual branches are skipped at random in training. */
import { z } from "zod";
import { definePlugin, layers } from "../../core/index.js";

const options = z.strictObject({
  rate: z
    .number()
    .min(0)
    .lt(1)
    .default(0.2)
    .describe("how often the last block is skipped; earlier ones are less often"),
});

/** Section 4: block `index` (from 0) of `count` is skipped (index + 1) / count times as often as the last. */
export function dropRate(rate: number, index: number, count: number): number {
  return ((index + 1) / count) * rate;
}

export const stochasticDepth = definePlugin({
  name: "stochastic-depth",
  summary: "Skips residual branches at random, deeper ones more often",
  options,
  apply({ rate }, { hooks }) {
    // Late: whatever else a branch was given is skipped with it.
    hooks.buildBlock.tap({ stage: "late" }, (branch, { index, count }) => {
      if (rate === 0) return branch;
      const wholePictures = layers.dropout(dropRate(rate, index, count), (x) => [x.shape[0]!, 1, 1, 1]);
      return layers.append(branch, "drop_path", wholePictures);
    });
  },
});

/** Stochastic depth (Huang et al. 2016): skips residual branches at random in training. */
import { z } from "zod";
import { definePlugin, layers } from "../../core/index.js";

const options = z.strictObject({
  rate: z
    .number()
    .min(0)
    .lt(1)
    .default(0.2)
    .describe("probability of skipping the last block; lower for earlier blocks"),
});

/** Section 4: block `index` (from 0) of `count` is skipped (index + 1) / count times as often as the last. */
export function dropRate(rate: number, index: number, count: number): number {
  return ((index + 1) / count) * rate;
}

export const stochasticDepth = definePlugin({
  name: "stochastic-depth",
  summary: "Skips residual branches at random in training, deeper ones more often",
  options,
  apply({ rate }, { hooks }) {
    // Late: other additions to a branch are skipped with it.
    hooks.buildBlock.tap({ stage: "late" }, (branch, { index, count }) => {
      if (rate === 0) return branch;
      const wholeImages = layers.dropout(dropRate(rate, index, count), (x) => [x.shape[0]!, 1, 1, 1]);
      return layers.append(branch, "drop_path", wholeImages);
    });
  },
});

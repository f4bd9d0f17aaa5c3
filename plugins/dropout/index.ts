/** Dropout (Srivastava et al. 2014) between pooled features and classifier. */
import { z } from "zod";
import { definePlugin, layers } from "../../core/index.js";

const options = z.strictObject({
  rate: z.number().min(0).lt(1).default(0.5).describe("probability that a feature is zero in training"),
});

export const dropout = definePlugin({
  name: "dropout",
  summary: "Zeroes random features before the classifier while training",
  options,
  apply({ rate }, { hooks }) {
    hooks.buildHead.tap((head) => layers.append(head, "dropout", layers.dropout(rate)));
  },
});

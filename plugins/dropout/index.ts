/** Dropout (Srivastava et al. 2014) between pooled features and classifier. */
import { z } from "zod";
import { definePlugin, layers } from "../../core/index.js";

const options = z.strictObject({
  rate: z.number().min(0).lt(1).default(0.5).describe("probability of zeroing a feature in training"),
});

export const dropout = definePlugin({
  name: "dropout",
  summary: "Dropout between pooling and classifier",
  options,
  apply({ rate }, { hooks }) {
    hooks.buildHead.tap((head) => layers.append(head, "dropout", layers.dropout(rate)));
  },
});

/** Learning rates by kind of parameter: norm shifts and biases move many times as fast as kernels (Page 2019; Jordan 2024). */
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  factor: z.number().positive().default(64).describe("factor on the learning rate of norms and biases"),
});

export const biasLr = definePlugin({
  name: "bias-lr",
  summary: "Multiplies the learning rate of norms and biases",
  options,
  apply({ factor }, { hooks }) {
    hooks.resolveParamGroups.tap((groups) =>
      groups.map((group) => (group.decays ? group : { ...group, rateFactor: group.rateFactor * factor })),
    );
  },
});

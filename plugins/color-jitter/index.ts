/** Colour jitter: brightness, contrast, saturation and hue of training pictures change a little. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const spread = z.number().min(0);

const options = z.strictObject({
  brightness: spread.default(0.2).describe("factor uniform in [1 - x, 1 + x], never below 0"),
  contrast: spread.default(0.2).describe("likewise, about the picture's mean gray"),
  saturation: spread.default(0.2).describe("likewise, about the gray picture"),
  hue: z
    .number()
    .min(0)
    .max(0.5)
    .default(0)
    .describe("turn of the colour circle, uniform in [-x, x]; 0.5 is half of it"),
});

export const colorJitter = definePlugin({
  name: "color-jitter",
  summary: "Changes brightness, contrast, saturation and hue of training pictures",
  options,
  apply(jitter, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => ({
      ...sample,
      ...image.applyColorSteps(sample, image.colorJitterDraw(rng, jitter)),
    }));
  },
});

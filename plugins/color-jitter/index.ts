/** Colour jitter: random changes of brightness, contrast, saturation and hue. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const spread = z.number().min(0);

const options = z.strictObject({
  brightness: spread.default(0.2).describe("x: the factor is uniform in [1 - x, 1 + x], never below 0"),
  contrast: spread.default(0.2).describe("x: the same range of factors, around the image's mean gray"),
  saturation: spread.default(0.2).describe("x: the same range of factors, around the gray image"),
  hue: z
    .number()
    .min(0)
    .max(0.5)
    .default(0)
    .describe("x: the hue shift is uniform in [-x, x]; 0.5 is half the colour circle"),
});

export const colorJitter = definePlugin({
  name: "color-jitter",
  summary: "Random brightness, contrast, saturation and hue of training images",
  options,
  apply(jitter, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => ({
      ...sample,
      ...image.applyColorSteps(sample, image.colorJitterDraw(rng, jitter)),
    }));
  },
});

/** TrivialAugment (Müller and Hutter 2021): one random operation of random strength; nothing to tune. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const byte = z.int().min(0).max(255);

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(1).describe("share of images to augment"),
  fill: z
    .tuple([byte, byte, byte])
    .optional()
    .describe("colour of new pixels outside the image, R G B; black by default"),
  interpolation: z.enum(["nearest", "bilinear"]).default("nearest").describe("interpolation of rotations and shears"),
});

export const trivialAugment = definePlugin({
  name: "trivial-augment",
  summary: "TrivialAugment: one random operation of random strength per training image",
  options,
  slot: "policy",
  apply({ probability, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      if (!rng.chance(probability)) return sample;
      const steps = image.trivialAugmentDraw(rng, sample);
      return { ...sample, ...image.applySteps(sample, steps, { fill, interpolation }) };
    });
  },
});

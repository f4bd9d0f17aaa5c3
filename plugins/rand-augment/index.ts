/** RandAugment (Cubuk et al. 2020): a few random operations of one strength per image. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const byte = z.int().min(0).max(255);

const options = z.strictObject({
  operations: z.int().min(0).default(2).describe("operations per image"),
  level: z.int().min(0).max(30).default(9).describe("strength of every operation, 0 to 30"),
  fill: z
    .tuple([byte, byte, byte])
    .optional()
    .describe("colour of new pixels outside the image, R G B; black by default"),
  interpolation: z.enum(["nearest", "bilinear"]).default("nearest").describe("interpolation of rotations and shears"),
});

export const randAugment = definePlugin({
  name: "rand-augment",
  summary: "RandAugment: a few random operations of one strength per training image",
  options,
  slot: "policy",
  apply({ operations, level, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      const steps = image.randAugmentDraw(rng, sample, { operations, level });
      return { ...sample, ...image.applySteps(sample, steps, { fill, interpolation }) };
    });
  },
});

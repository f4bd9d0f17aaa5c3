/** AutoAugment (Cubuk et al. 2019): a published policy of 25 pairs of operations, one pair per image. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const byte = z.int().min(0).max(255);

const options = z.strictObject({
  policy: z
    .enum(["cifar10"])
    .default("cifar10")
    .describe("published policy; the one for CIFAR-10 is also used for CIFAR-100"),
  probability: z.number().min(0).max(1).default(1).describe("share of images to augment"),
  fill: z
    .tuple([byte, byte, byte])
    .optional()
    .describe("colour of new pixels outside the image, R G B; black by default"),
  interpolation: z.enum(["nearest", "bilinear"]).default("nearest").describe("interpolation of rotations and shears"),
});

export const autoAugment = definePlugin({
  name: "auto-augment",
  summary: "AutoAugment: one of 25 published pairs of operations per training image",
  options,
  slot: "policy",
  apply({ probability, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      if (!rng.chance(probability)) return sample;
      const steps = image.autoAugmentDraw(rng, sample, image.cifar10Policy);
      return { ...sample, ...image.applySteps(sample, steps, { fill, interpolation }) };
    });
  },
});

/** AutoAugment (Cubuk et al. 2019): one of 25 pairs of operations, found by a search, for each picture. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const byte = z.int().min(0).max(255);

const options = z.strictObject({
  policy: z
    .enum(["cifar10"])
    .default("cifar10")
    .describe("the published table; the one of CIFAR-10 serves CIFAR-100 too"),
  probability: z.number().min(0).max(1).default(1).describe("share of pictures that are changed"),
  fill: z.tuple([byte, byte, byte]).optional().describe("what comes in from outside, R G B; black when left out"),
  interpolation: z.enum(["nearest", "bilinear"]).default("nearest").describe("for turns and slants"),
});

export const autoAugment = definePlugin({
  name: "auto-augment",
  summary: "Changes each training picture by one of 25 pairs of operations that a search found",
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

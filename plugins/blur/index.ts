/** Random Gaussian blur of training images. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(0.5).describe("share of images to blur"),
  size: z
    .int()
    .min(3)
    .refine((size) => size % 2 === 1, "expected an odd number of pixels")
    .default(5)
    .describe("side of the kernel in pixels, odd; a tenth of the image's side in SimCLR"),
  sigma: z
    .tuple([z.number().positive(), z.number().positive()])
    .refine(([low, high]) => low <= high, "expected [low, high]")
    .default([0.1, 2])
    .describe("standard deviation in pixels, uniform in this range"),
});

/** The kernel's side where it fits; else the largest odd one for which mirrored borders have pixels. */
export const fittingSize = (size: number, { height, width }: image.Size): number =>
  Math.min(size, 2 * Math.min(height, width) - 1);

export const blur = definePlugin({
  name: "blur",
  summary: "Blurs a share of the training images with a random Gaussian",
  options,
  apply({ probability, size, sigma }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      if (!rng.chance(probability)) return sample;
      return { ...sample, ...image.gaussianBlur(sample, rng.range(sigma[0], sigma[1]), fittingSize(size, sample)) };
    });
  },
});

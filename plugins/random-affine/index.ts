/** Random affine transforms: rotation, zoom, shift and shear of training images. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, "expected [low, high]");
const byte = z.int().min(0).max(255);

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(1).describe("share of images to transform"),
  degrees: range.default([-30, 30]).describe("clockwise rotation, uniform in this range"),
  scale: range
    .refine(([low]) => low > 0, "expected a lower bound above 0")
    .default([0.8, 1.2])
    .describe("zoom, uniform in this range"),
  translate: z.number().min(0).max(1).default(0).describe("largest shift in each direction, as a share of the side"),
  shear: range.default([0, 0]).describe("shear along the rows in degrees, uniform in this range"),
  fill: z
    .tuple([byte, byte, byte])
    .optional()
    .describe("colour of new pixels outside the image, R G B; black by default"),
  interpolation: z.enum(["bilinear", "nearest"]).default("bilinear").describe("interpolation of the resampling"),
});

export const randomAffine = definePlugin({
  name: "random-affine",
  summary: "Random rotation, zoom, shift and shear of training images",
  options,
  apply({ probability, degrees, scale, translate, shear, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      if (!rng.chance(probability)) return sample;
      const drawn = image.randomAffineDraw(rng, { degrees, scale, translate: [translate, translate], shear }, sample);
      return { ...sample, ...image.affine(sample, drawn, { interpolation, fill }) };
    });
  },
});

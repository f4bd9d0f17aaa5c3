/** Random affine maps: training pictures are turned, zoomed, moved and slanted. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, "must be [low, high]");
const byte = z.int().min(0).max(255);

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(1).describe("share of pictures that are moved"),
  degrees: range.default([-30, 30]).describe("turn, clockwise, uniform in this range"),
  scale: range
    .refine(([low]) => low > 0, "must be above 0")
    .default([0.8, 1.2])
    .describe("zoom, uniform in this range"),
  translate: z.number().min(0).max(1).default(0).describe("largest shift each way, as a share of the side"),
  shear: range.default([0, 0]).describe("slant along the rows in degrees, uniform in this range"),
  fill: z.tuple([byte, byte, byte]).optional().describe("what comes in from outside, R G B; black when left out"),
  interpolation: z.enum(["bilinear", "nearest"]).default("bilinear").describe("how pixels are read between pixels"),
});

export const randomAffine = definePlugin({
  name: "random-affine",
  summary: "Turns, zooms, moves and slants training pictures",
  options,
  apply({ probability, degrees, scale, translate, shear, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      if (!rng.chance(probability)) return sample;
      const drawn = image.randomAffineDraw(rng, { degrees, scale, translate: [translate, translate], shear }, sample);
      return { ...sample, ...image.affine(sample, drawn, { interpolation, fill }) };
    });
  },
});

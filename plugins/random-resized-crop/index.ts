/** Random resized crop (Szegedy et al. 2015): a random region of the stored image, scaled to the data's size. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const range = z.tuple([z.number().positive(), z.number().positive()]);
const ordered = ([low, high]: [number, number]): boolean => low <= high;

const options = z.strictObject({
  scale: range
    .refine(([low, high]) => low <= high && high <= 1, "expected [low, high], at most 1")
    .default([0.08, 1])
    .describe("the region's share of the image, uniform in this range"),
  ratio: range
    .refine(ordered, "expected [low, high]")
    .default([3 / 4, 4 / 3])
    .describe("width over height; the logarithm is uniform in this range"),
});

export const randomResizedCrop = definePlugin({
  name: "random-resized-crop",
  summary: "Reads a random region of each training image, scaled to the data's size",
  options,
  apply(settings, { hooks }) {
    // First: what other plugins make of a region is a part of it.
    hooks.resolveCrop.tap({ stage: "first" }, (_, source, rng) => image.randomResizedCropDraw(rng, source, settings));
  },
});

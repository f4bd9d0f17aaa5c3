/** Random erasing (Zhong et al. 2020): erases a rectangle of a training image. */
import { z } from "zod";
import { definePlugin, image, type Stream } from "../../core/index.js";

const byte = z.int().min(0).max(255);
const range = z.tuple([z.number().positive(), z.number().positive()]);
const ordered = ([low, high]: [number, number]): boolean => low <= high;

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(0.5).describe("share of images with an erased rectangle"),
  scale: range
    .refine(ordered, "expected [low, high]")
    .default([0.02, 0.33])
    .describe("the rectangle's share of the image, uniform in this range"),
  ratio: range
    .refine(ordered, "expected [low, high]")
    .default([0.3, 3.3])
    .describe("height over width; the logarithm is uniform in this range"),
  value: z
    .union([z.enum(["mean", "noise"]), z.tuple([byte, byte, byte])])
    .default("mean")
    .describe("fill: the data's mean colour (0 after normalising), noise, or R G B"),
});

/** Uniform bytes [height, width, 3]. */
export function noiseBytes(rng: Stream, { height, width }: image.Size): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, () => rng.int(256));
}

export const randomErasing = definePlugin({
  name: "random-erasing",
  summary: "Erases a random rectangle of half of the training images",
  options,
  apply({ probability, scale, ratio, value }, { hooks }) {
    let mean: image.Color = [0, 0, 0];
    hooks.onFitStart.tap(({ data }) => {
      const [red, green, blue] = data.mean.map((share) => Math.round(255 * share)) as [number, number, number];
      mean = [red, green, blue];
    });
    // Late: a crop or a rotation after it would cut the rectangle or turn it.
    hooks.beforeSample.tap({ stage: "late" }, (sample, rng) => {
      if (!rng.chance(probability)) return sample;
      const rectangle = image.randomErasingDraw(rng, sample, { scale, ratio });
      if (!rectangle) return sample;
      const paint = value === "mean" ? mean : value === "noise" ? noiseBytes(rng, rectangle) : value;
      return { ...sample, ...image.erase(sample, rectangle, paint) };
    });
  },
});

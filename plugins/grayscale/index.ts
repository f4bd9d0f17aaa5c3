/** Random greyscale: takes the colour out of some training images. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const options = z.strictObject({
  probability: z.number().min(0).max(1).default(0.1).describe("share of images to turn grey"),
});

export const grayscale = definePlugin({
  name: "grayscale",
  summary: "Takes the colour out of a share of the training images",
  options,
  apply({ probability }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) =>
      rng.chance(probability) ? { ...sample, ...image.grayscale(sample) } : sample,
    );
  },
});

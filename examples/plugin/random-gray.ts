/** Random grayscale (SimCLR, Chen et al. 2020): a share of the training images loses its colours. */
import { definePlugin, type Sample, z } from "fitloop";

/** The image in gray: each pixel's luma (ITU-R BT.601) in all three channels, rounded. */
export function gray(sample: Sample): Sample {
  const pixels = new Uint8Array(sample.pixels.length);
  for (let at = 0; at < pixels.length; at += 3) {
    const [red, green, blue] = sample.pixels.subarray(at, at + 3);
    pixels.fill(Math.round(0.299 * red! + 0.587 * green! + 0.114 * blue!), at, at + 3);
  }
  return { ...sample, pixels };
}

export const randomGray = definePlugin({
  name: "random-gray",
  summary: "Turns a share of the training images gray",
  options: z.strictObject({
    probability: z.number().min(0).max(1).default(0.2).describe("share of gray images"),
  }),
  apply({ probability }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => (rng.chance(probability) ? gray(sample) : sample));
  },
});

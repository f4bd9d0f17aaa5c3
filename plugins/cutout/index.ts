/** Cutout (DeVries and Taylor 2017) as fast recipes use it: a square of one size, all of it inside the image. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const options = z.strictObject({
  size: z.int().min(0).default(8).describe("side of the square, in pixels; 0 for none"),
});

export const cutout = definePlugin({
  name: "cutout",
  summary: "Paints a square of the mean colour over each training image",
  options,
  apply({ size }, { hooks }) {
    let mean: image.Color = [0, 0, 0];
    hooks.onFitStart.tap(({ data }) => {
      const [red, green, blue] = data.mean.map((share) => Math.round(255 * share)) as [number, number, number];
      mean = [red, green, blue];
    });
    // Late: a crop or a rotation after it would cut the square or turn it.
    hooks.beforeSample.tap({ stage: "late" }, (sample, rng) => {
      if (size === 0) return sample;
      const [height, width] = [Math.min(size, sample.height), Math.min(size, sample.width)];
      const top = rng.int(sample.height - height + 1);
      const left = rng.int(sample.width - width + 1);
      return { ...sample, ...image.erase(sample, { top, left, height, width }, mean) };
    });
  },
});

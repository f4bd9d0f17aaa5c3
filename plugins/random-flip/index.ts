/** Random flip: mirrors training images left to right, upside down, or both. */
import { z } from "zod";
import { definePlugin, image, type Sample } from "../../core/index.js";

const probability = z.number().min(0).max(1);

const options = z.strictObject({
  horizontal: probability.default(0.5).describe("probability of mirroring left and right"),
  vertical: probability.default(0).describe("probability of mirroring top and bottom: for images without an up"),
});

export const randomFlip = definePlugin({
  name: "random-flip",
  summary: "Mirrors training images left to right or upside down at random",
  options,
  apply({ horizontal, vertical }, { hooks }) {
    hooks.beforeSample.tap((sample, rng): Sample => {
      const [mirrored, upsideDown] = [rng.chance(horizontal), rng.chance(vertical)];
      const across = mirrored ? { ...sample, ...image.flipHorizontal(sample) } : sample;
      return upsideDown ? { ...across, ...image.flipVertical(across) } : across;
    });
  },
});

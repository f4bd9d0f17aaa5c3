/** Random crop and flip: the augmentation almost every CIFAR recipe begins with. */
import { z } from "zod";
import { definePlugin, image, type Sample, type Stream } from "../../core/index.js";

const options = z.strictObject({
  padding: z.int().min(0).default(4).describe("black pixels on every side before a crop of the old size"),
  flip: z.number().min(0).max(1).default(0.5).describe("probability of mirroring left and right"),
});

/** A crop, then a flip: the order of torchvision's recipes. He et al. 2016, section 4.2. */
export function cropAndFlip(sample: Sample, rng: Stream, { padding, flip }: z.output<typeof options>): Sample {
  const cropped = image.crop(sample, image.randomCropDraw(rng, sample, padding));
  return { ...sample, ...(rng.chance(flip) ? image.flipHorizontal(cropped) : cropped) };
}

export const randomCropFlip = definePlugin({
  name: "random-crop-flip",
  summary: "Shifts each training picture by a few pixels and mirrors half of them",
  options,
  apply(settings, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => cropAndFlip(sample, rng, settings));
  },
});

/** Random crop and flip: the standard augmentation for CIFAR. */
import { z } from "zod";
import { definePlugin, image, type Sample, type Stream } from "../../core/index.js";

const options = z.strictObject({
  padding: z.int().min(0).default(4).describe("pixels added on every side before the crop"),
  border: z.enum(["black", "reflect"]).default("black").describe("content of the padding"),
  flip: z
    .union([z.number().min(0).max(1), z.literal("alternating")])
    .default(0.5)
    .describe('probability of a horizontal flip, or "alternating": every other epoch'),
});

/**
 * A crop, then a flip: the order of torchvision's recipes. He et al. 2016, section 4.2.
 *
 * @param side whether an image starts mirrored, and `epoch` (from 0), for `flip: "alternating"` (Jordan 2024): a side
 *   drawn once for each image, the other one in every odd epoch
 */
export function cropAndFlip(
  sample: Sample,
  rng: Stream,
  { padding, border, flip }: z.output<typeof options>,
  { side, epoch }: { side: boolean; epoch: number },
): Sample {
  const place = image.randomCropDraw(rng, sample, padding);
  const cropped = border === "reflect" ? image.cropReflected(sample, place) : image.crop(sample, place);
  const mirrors = flip === "alternating" ? side !== (epoch % 2 === 1) : rng.chance(flip);
  return { ...sample, ...(mirrors ? image.flipHorizontal(cropped) : cropped) };
}

export const randomCropFlip = definePlugin({
  name: "random-crop-flip",
  summary: "Random crop after padding, and horizontal flip, of training images",
  options,
  apply(settings, { hooks, stream }) {
    hooks.beforeSample.tap((sample, rng, epoch) =>
      cropAndFlip(sample, rng, settings, { side: stream(sample.index).chance(0.5), epoch }),
    );
  },
});

/** The first convolution of a network, which decides what all later ones cost. */
import { z } from "zod";
import type { BuildContext } from "../nn/model.js";

/** Images of this side, in pixels, are photos: with the stem of ImageNet the last maps still have 3 × 3 positions. */
const photoSize = 96;

/** The option `stem`. @param meanings what "cifar" and "imagenet" are for this network */
export const stemOption = (meanings: string) =>
  z
    .enum(["auto", "cifar", "imagenet"])
    .default("auto")
    .describe(`${meanings}; "auto": "imagenet" from ${photoSize} px on, and for pretrained weights`);

/** The stem of a network that is built for images of a size. Weights of ImageNet belong to its stem. */
export function stemOf(
  { stem, pretrained }: { stem: "auto" | "cifar" | "imagenet"; pretrained?: string },
  { inputSize }: Pick<BuildContext, "inputSize">,
): "cifar" | "imagenet" {
  if (stem !== "auto") return stem;
  return inputSize >= photoSize || pretrained !== undefined ? "imagenet" : "cifar";
}

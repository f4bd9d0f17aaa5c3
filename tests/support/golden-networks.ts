/** Our networks as the golden files name them: timm's EfficientNet and MobileNet have the ImageNet stem alone. */

import { modelByName } from "../../core/models/index.js";
import { append } from "../../core/nn/layers.js";
import type { BuildContext, Model } from "../../core/nn/model.js";
import { squeezeExcite } from "../../core/nn/squeeze-excite.js";
import { makePart } from "../../core/parts.js";

export interface GoldenNetwork {
  /** "resnet18", "wrn-16-4", … */
  model: string;
  stem?: "cifar" | "imagenet";
  squeezeExcite?: boolean;
  classes: number;
  /** In place of what the name says. */
  options?: Record<string, unknown>;
}

/** A context without plugins. */
export const plain = (classes: number): BuildContext => ({
  classes,
  inputSize: 32,
  buildBlock: (branch) => branch,
  buildHead: (head) => head,
});

export function buildGolden({ model, stem, squeezeExcite: se, classes, options }: GoldenNetwork): Model {
  const [, depth, width] = /^wrn-(\d+)-(\d+)$/.exec(model) ?? [];
  const source = depth
    ? modelByName("wrn", { depth: Number(depth), width: Number(width) })
    : modelByName(model, {
        ...(/^efficientnet|^mobilenet/.test(model) && { stem: "imagenet" }),
        ...(stem && { stem }),
        ...options,
      });
  return makePart(source).build({
    ...plain(classes),
    buildBlock: (branch, { channels }) =>
      se ? append(branch, "se", squeezeExcite({ channels, squeezed: channels / 16 })) : branch,
  });
}

/**
 * cifar100-augmented: `cifar100-strong` with the tutorial's gentler augmentation instead of AutoAugment: rotation up
 * to 30°, zoom from 0.8 to 1.2, colours up to 20 %.
 *
 * Reached: not yet measured.
 */

import { defineConfig, replacePlugin, type TrainerConfig } from "../core/index.js";
import { colorJitter, randomAffine } from "../plugins/index.js";
import { cifar100Strong, type StrongOptions } from "./cifar100-strong.js";

export function cifar100Augmented(options: StrongOptions = {}): TrainerConfig {
  return defineConfig({
    ...replacePlugin(
      cifar100Strong(options),
      "auto-augment",
      randomAffine({ degrees: [-30, 30], scale: [0.8, 1.2] }),
      colorJitter({ brightness: 0.2, contrast: 0.2, saturation: 0.2 }),
    ),
    name: "cifar100-augmented",
  });
}

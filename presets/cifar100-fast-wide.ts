/**
 * cifar100-fast-wide: `cifar100-fast` with a network of two and a half times the work an image, for 14 epochs. 0.94 PFLOP by
 * calculation.
 *
 *     trainer --preset cifar100-fast-wide --data PATH
 *
 * Reached: 76.2 % top-1 on the test set (seed 1, `trainer --preset cifar100-fast-wide --seed N --data PATH`), 71 min of
 * training on one shared core of an AMD EPYC with bfloat16, 2026-12-01.
 *
 * Accuracy is that of six views. Nothing but the network and the number of epochs differs from `cifar100-fast`.
 */

import { defineConfig, type TrainerConfig } from "../core/index.js";
import { airbench } from "../core/models/index.js";
import { cifar100Fast } from "./cifar100-fast.js";
import type { PresetOptions } from "./preset.js";

export function cifar100FastWide(options: PresetOptions = {}): TrainerConfig {
  return defineConfig({
    ...cifar100Fast(options),
    name: "cifar100-fast-wide",
    model: airbench({ size: 95 }),
    epochs: 14,
  });
}

/**
 * cifar100-fast-wide: `cifar100-fast` with a network of two and a half times the work an image, for 14 epochs. 0.97 PFLOP by
 * calculation.
 *
 *     trainer --preset cifar100-fast-wide --data PATH
 *
 * Reached: not yet measured.
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

/**
 * cifar100-native: `cifar100-strong` at the images' own 32 px, on a ResNet-50 with a CIFAR stem. It needs a third of the
 * multiply-adds (1.3 G per image instead of 4.1 G), and others report better results for it.
 *
 * Reached: not yet measured.
 *
 * Others report 77.4 % to 78.6 % for this network, with and without squeeze-and-excitation, in 200 epochs, and 2 to 3 points
 * more with CutMix or AutoAugment on other networks.
 */

import { defineConfig, type TrainerConfig } from "../core/index.js";
import { resnet50 } from "../core/models/index.js";
import { cifar100Strong, type StrongOptions } from "./cifar100-strong.js";

export function cifar100Native({ model = resnet50({ stem: "cifar" }), ...options }: StrongOptions = {}): TrainerConfig {
  return defineConfig({ ...cifar100Strong({ ...options, model }), name: "cifar100-native", inputSize: undefined });
}

/**
 * cifar100-baseline: ResNet-18 with a CIFAR stem and the usual recipe, to compare techniques against.
 *
 * Reached: not yet measured.
 *
 * Others report 75.6 % to 76.4 % for this network in 200 epochs.
 */

import { cifar100 } from "../core/data/index.js";
import { defineConfig, sgd, type TrainerConfig } from "../core/index.js";
import { resnet18 } from "../core/models/index.js";
import { cosine, l2, randomCropFlip, warmup } from "../plugins/index.js";
import type { PresetOptions } from "./preset.js";

export function cifar100Baseline({ data, batchSize = 128 }: PresetOptions = {}): TrainerConfig {
  return defineConfig({
    name: "cifar100-baseline",
    data: cifar100({ path: data, download: true }),
    model: resnet18({ width: 64, stem: "cifar" }),
    optimizer: sgd({ momentum: 0.9, nesterov: true }),
    learningRate: 0.1,
    epochs: 200,
    batchSize,
    plugins: [randomCropFlip({ padding: 4 }), l2({ decay: 5e-4 }), warmup({ epochs: 1 }), cosine()],
  });
}

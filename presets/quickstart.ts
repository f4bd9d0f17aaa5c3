/**
 * quickstart: drawn shapes and a tiny ResNet, to see a whole run in a minute without any file.
 *
 * Reached: 96.7 % ± 1.4 % top-1 on the test pictures (mean and deviation over seeds 1 to 4) in 31 to 40 s of
 * training on two cores of an AMD EPYC without AVX-512, TensorFlow, 2026-11-24; 95.2 % ± 3.2 % in 23 to 35 s on one with
 * AVX-512, 2026-11-27; on wasm 96.6 % in 1 min 42 s (seed 1).
 */
import { defineConfig, sgd, type TrainerConfig } from "../core/index.js";
import { shapes } from "../core/data/index.js";
import { resnet18 } from "../core/models/index.js";
import { labelSmoothing, oneCycle, randomCropFlip } from "../plugins/index.js";
import type { PresetOptions } from "./preset.js";

export function quickstart({ batchSize = 32 }: PresetOptions = {}): TrainerConfig {
  return defineConfig({
    name: "quickstart",
    data: shapes({ classes: 10, size: 32, train: 2000, test: 500, seed: 1 }),
    model: resnet18({ width: 8, stem: "cifar" }),
    optimizer: sgd({ momentum: 0.9, nesterov: true }),
    learningRate: 0.1,
    epochs: 6,
    batchSize,
    plugins: [randomCropFlip({ padding: 2 }), labelSmoothing({ smoothing: 0.1 }), oneCycle()],
  });
}

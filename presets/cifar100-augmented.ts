/**
 * cifar100-augmented: `cifar100-strong` with the tutorial's gentler augmentation in AutoAugment's place: turns of up
 * to 30°, zoom from 0.8 to 1.2, colours up to 20 %.
 *
 * Reached: not yet measured.
 */

import { cifar100 } from "../core/data/index.js";
import { defineConfig, type ModelSource, sgd, type TrainerConfig } from "../core/index.js";
import { resnet50 } from "../core/models/index.js";
import {
  colorJitter,
  cosineRestarts,
  cutmix,
  differentialLr,
  dropout,
  earlyStopping,
  gradCam,
  gradientAccumulation,
  l2,
  labelSmoothing,
  randomAffine,
  randomCropFlip,
  squeezeExcite,
  visualLog,
} from "../plugins/index.js";
import { microBatchesOf, type PresetOptions } from "./preset.js";

export interface AugmentedOptions extends PresetOptions {
  /** Deeper or wider: `resnet101({ stem: "imagenet" })`, `resnet50({ stem: "imagenet", width: 128 })`. */
  model?: ModelSource;
}

export function cifar100Augmented({
  data,
  batchSize = 128,
  model = resnet50({ stem: "imagenet" }),
}: AugmentedOptions = {}): TrainerConfig {
  return defineConfig({
    name: "cifar100-augmented",
    data: cifar100({ path: data, download: true }),
    model,
    inputSize: 224,
    optimizer: sgd({ momentum: 0.9 }),
    learningRate: 0.1,
    epochs: 150,
    batchSize,
    plugins: [
      squeezeExcite({ reduction: 16 }),
      dropout({ rate: 0.5 }),
      randomCropFlip({ padding: 4 }),
      randomAffine({ degrees: [-30, 30], scale: [0.8, 1.2] }),
      colorJitter({ brightness: 0.2, contrast: 0.2, saturation: 0.2 }),
      cutmix({ alpha: 1 }),
      labelSmoothing({ smoothing: 0.1 }),
      gradientAccumulation({ factor: microBatchesOf(512, batchSize) }),
      l2({ decay: 1e-4 }),
      differentialLr({ form: "factor", bottom: 0.1, head: 1 }),
      cosineRestarts({ firstCycle: 10, factor: 2, minimum: 1e-6 }),
      earlyStopping({ patience: 5 }),
      gradCam(),
      visualLog(),
    ],
  });
}

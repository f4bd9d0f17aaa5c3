/**
 * cifar100-strong: every strong trick at once, on ResNet-50 with squeeze-and-excitation at 224 px.
 *
 * The recipe of a tutorial, as published where it says a figure: learning rate 0.1, CutMix, AutoAugment, label
 * smoothing, cosine restarts, 4 × 128 pictures a step, dropout, L2 1e-4, early stopping, Grad-CAM, visual log. Of its
 * own are the epochs (four whole cycles), the crop's padding, momentum 0.9, and the span of the rates: the tutorial's
 * 1e-5 to 1e-3 is made for pretrained layers; from scratch the first layers learn at a tenth of the head's rate.
 *
 * Pictures are augmented at 32 px, where AutoAugment's distances were found, and enlarged on the device.
 * Reached: not yet measured; it takes days here. Twenty optimizer steps (`--batch-size 32 --max-steps 20 --holdout 0.01
 * --limit-test 200`), 2026-11-26, two cores of an AMD EPYC with AVX-512: 86 s a step of 512 pictures at the fastest (other
 * work shared the cores), 13.3 GB of memory, loss 4.73 at first and 5.26 at last (the rate is 0.1 from the first step,
 * without warmup). All 13,200 steps would take 13 days by calculation; growing pictures (`progressive-resizing`) would save 33 % of that
 * (`npm run bench -- resizing`). Others report 60 % to 70 % for this stem and 77 % to 80 % for `cifar100-native`'s.
 */

import { cifar100 } from "../core/data/index.js";
import { defineConfig, type Given, type ModelSource, sgd, type TrainerConfig } from "../core/index.js";
import { resnet50 } from "../core/models/index.js";
import {
  autoAugment,
  cosineRestarts,
  cutmix,
  differentialLr,
  dropout,
  earlyStopping,
  gradCam,
  gradientAccumulation,
  l2,
  labelSmoothing,
  randomCropFlip,
  squeezeExcite,
  visualLog,
} from "../plugins/index.js";
import { microBatchesOf, type PresetOptions } from "./preset.js";

export interface StrongOptions extends PresetOptions {
  /** A deeper or wider one: `resnet101({ stem: "imagenet" })`, `resnet50({ stem: "imagenet", width: 128 })`. */
  model?: Given<ModelSource>;
}

export function cifar100Strong({
  data,
  batchSize = 128,
  model = resnet50({ stem: "imagenet" }),
}: StrongOptions = {}): TrainerConfig {
  return defineConfig({
    name: "cifar100-strong",
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
      autoAugment(),
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

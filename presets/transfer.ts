/**
 * transfer: pretrained weights and a folder of your own images. The new head learns at 1e-3, earlier layers slower, down to
 * 1e-5 at the input. The head trains alone in the first epoch; each epoch unfreezes one more stage.
 *
 *     trainer --preset transfer --data photos --weights resnet50.safetensors
 *
 * Weights have PyTorch's names (timm's ResNet-50 is such a file). The run reports which of them matched.
 *
 * Reached: not yet measured.
 */

import { imageFolder } from "../core/data/index.js";
import { adamw, defineConfig, type Given, type ModelSource, type TrainerConfig, TrainerError } from "../core/index.js";
import { resnet50 } from "../core/models/index.js";
import { cosine, differentialLr, earlyStopping, finetune, labelSmoothing, randomCropFlip } from "../plugins/index.js";
import type { PresetOptions } from "./preset.js";

export interface TransferOptions extends PresetOptions {
  /** The network that the weights are of. */
  model?: Given<ModelSource>;
}

/** @throws TrainerError ERR_OPTION without data or weights */
export function transfer({
  data,
  weights,
  batchSize = 32,
  model = resnet50({ stem: "imagenet" }),
}: TransferOptions = {}): TrainerConfig {
  if (data === undefined || weights === undefined) {
    throw new TrainerError(
      "ERR_OPTION",
      "The preset transfer needs a folder of images and pretrained weights: " +
        "--data FOLDER --weights FILE.safetensors.",
    );
  }
  return defineConfig({
    name: "transfer",
    data: imageFolder({ path: data, size: 224 }),
    model,
    optimizer: adamw({ weightDecay: 0.01 }),
    learningRate: 1e-3,
    epochs: 12,
    batchSize,
    plugins: [
      finetune({ path: weights, newHead: true }),
      randomCropFlip({ padding: 16 }),
      labelSmoothing({ smoothing: 0.1 }),
      differentialLr({ form: "absolute", bottom: 1e-5, head: 1e-3, freeze: 5, unfreezeEvery: 1 }),
      cosine(),
      earlyStopping({ patience: 5 }),
    ],
  });
}

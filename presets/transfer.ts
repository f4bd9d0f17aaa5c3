/**
 * transfer: pretrained weights and a folder of your own pictures. The new head learns at 1e-3, layers before it ever
 * slower, down to 1e-5 at the input; the head trains alone in the first epoch, and each epoch one more stage joins.
 *
 *     trainer --preset transfer --data pictures --weights resnet50.safetensors
 *
 * Weights are PyTorch's, under PyTorch's names (timm's ResNet-50 is such a file); what matched is said at the start.
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
      "The preset transfer needs a folder of pictures and the weights to begin with: " +
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

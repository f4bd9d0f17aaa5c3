/**
 * transfer: pretrained weights and a folder of your own images. An EfficientNet-Lite0 with ImageNet's weights gets a new head.
 * The head alone learns, at 3e-3, and the backbone stays ImageNet's. With `transfer({ data, backbone: "trains" })` in a config
 * earlier layers learn too, from 1e-5 at the input to 1e-3 at the head. Norms keep ImageNet's statistics. `trainer --data photos`
 * without a preset chooses by the number of training images: below 500 the head, from there on all.
 *
 *     trainer --preset transfer --data photos
 *
 * The weights come from the Hugging Face Hub once, or from a file: `--weights tf_efficientnet_lite0.safetensors`.
 *
 * Reached: 93.9 ± 0.7 % top-1 on 153 test images of ants and bees (seeds 1 to 5, `trainer --data ants-bees --seed N`),
 * 1 min 6 s in all on two cores of an Intel Xeon, 2026-12-01.
 */

import { imageFolder } from "../core/data/index.js";
import { adamw, defineConfig, type Given, type ModelSource, type TrainerConfig, TrainerError } from "../core/index.js";
import { efficientNetLite0 } from "../core/models/index.js";
import {
  cosine,
  differentialLr,
  ema,
  finetune,
  labelSmoothing,
  randomFlip,
  randomResizedCrop,
} from "../plugins/index.js";
import type { PresetOptions } from "./preset.js";

/** Where `transfer` gets its weights from, where none are given. */
export const transferWeights = "timm/tf_efficientnet_lite0.in1k";

type Channels = [number, number, number];

export interface TransferOptions extends PresetOptions {
  /** The network that the weights are of. Default: EfficientNet-Lite0. */
  model?: Given<ModelSource>;
  /** Side in pixels. Default 224. */
  size?: number;
  /** What the weights expect: of channels in [0, 1]. Default: 0.5 each, as EfficientNet-Lite0's do. */
  mean?: Channels;
  deviation?: Channels;
  /** Default 12. */
  epochs?: number;
  /** "frozen" (default): the head alone learns. "trains": every stage does, for more images; where it pays is not measured. */
  backbone?: "frozen" | "trains";
}

/** @throws TrainerError ERR_OPTION without data */
export function transfer({
  data,
  weights,
  batchSize = 32,
  size = 224,
  mean = [0.5, 0.5, 0.5],
  deviation = [0.5, 0.5, 0.5],
  epochs = 12,
  backbone = "frozen",
  model = efficientNetLite0(weights === undefined ? { pretrained: transferWeights } : { stem: "imagenet" }),
}: TransferOptions = {}): TrainerConfig {
  if (data === undefined) {
    throw new TrainerError("ERR_OPTION", "The preset transfer needs a folder of images: --data FOLDER.");
  }
  return defineConfig({
    name: "transfer",
    data: imageFolder({ path: data, size, crop: 0.875, interpolation: "bicubic", mean, deviation }),
    model,
    optimizer: adamw({ weightDecay: 0.01 }),
    learningRate: backbone === "frozen" ? 3e-3 : 1e-3,
    epochs,
    batchSize,
    plugins: [
      ...(weights === undefined ? [] : [finetune({ path: weights, newHead: true })]),
      randomResizedCrop({ scale: [0.35, 1] }),
      randomFlip(),
      labelSmoothing({ smoothing: 0.1 }),
      cosine(),
      ...(backbone === "frozen"
        ? [differentialLr({ freeze: "backbone" })]
        : [differentialLr({ form: "absolute", bottom: 1e-5, head: 1e-3, freezeNorms: true }), ema({ decay: 0.98 })]),
    ],
  });
}

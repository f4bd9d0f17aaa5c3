/** A run of seconds on a folder of small images, evaluated in two views. */
import { imageFolder } from "../../core/data/index.js";
import { defineConfig, type TrainerConfig } from "../../core/index.js";
import { resnet9 } from "../../core/models/index.js";
import { testTimeAugmentation } from "../../plugins/index.js";

export const imageConfig = (path: string): TrainerConfig =>
  defineConfig({
    name: "images",
    data: imageFolder({ path, size: 12 }),
    model: resnet9({ width: 4 }),
    learningRate: 0.02,
    epochs: 2,
    batchSize: 8,
    holdout: 0.5,
    plugins: [testTimeAugmentation({ flip: true })],
  });

/** The golden run: four epochs of three steps, and every kind of state that a run can have. */
import { adamw, type TrainerConfig } from "../../../core/index.js";
import { shapes } from "../../../core/data/index.js";
import { microConfig, microNet } from "../../../core/testing/index.js";
import { cosineRestarts, cutmix, dropout, earlyStopping, ema, gradientAccumulation, randomCropFlip } from "../../../plugins/index.js";

export const goldenConfig = (): TrainerConfig =>
  microConfig({
    data: shapes({ classes: 4, size: 8, train: 25, test: 6 }),
    model: microNet({ width: 6 }),
    optimizer: adamw({ weightDecay: 0.01 }),
    learningRate: 0.003,
    epochs: 4,
    batchSize: 4,
    backend: "wasm",
    plugins: [
      dropout({ rate: 0.2 }),
      randomCropFlip({ padding: 1 }),
      cutmix({ probability: 0.5 }),
      gradientAccumulation({ factor: 2 }),
      cosineRestarts({ firstCycle: 2, factor: 1 }),
      ema({ decay: 0.9 }),
      earlyStopping({ patience: 3 }),
    ],
  });

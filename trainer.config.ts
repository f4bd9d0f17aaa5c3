/**
 * `npx trainer` runs this file: drawn shapes, a tiny ResNet, three plugins that come with fitloop, and one of our own.
 * Change a line and run it again; `npx trainer plan` shows what the change does to the loop.
 */
import { defineConfig, definePlugin, sgd } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet18 } from "fitloop/models";
import { labelSmoothing, oneCycle, randomCropFlip } from "fitloop/plugins";
import { z } from "zod";

/** A plugin is a name, options with a schema, and taps on the loop's hooks. This one keeps the best epoch in mind. */
const bestEpoch = definePlugin({
  name: "best-epoch",
  summary: "Says at the end which epoch was best on the validation images",
  options: z.strictObject({ metric: z.enum(["top1", "loss"]).default("top1").describe("what counts") }),
  observer: true, // it only watches: if it fails, the run goes on without it
  apply({ metric }, { hooks, events }) {
    let best: { epoch: number; value: number } | undefined;
    hooks.onEpochEnd.tap(({ epoch, validation }) => {
      const value = validation?.[metric];
      if (value === undefined) return;
      const better = best === undefined || (metric === "loss" ? value < best.value : value > best.value);
      if (better) best = { epoch: epoch + 1, value };
    });
    hooks.onFitEnd.tap(() => {
      if (best) events.emit("warning", { message: `best ${metric} ${best.value.toFixed(3)} in epoch ${best.epoch}` });
    });
  },
});

export default defineConfig({
  name: "shapes",
  data: shapes({ classes: 6, size: 24, train: 1200, test: 300 }), // or imageFolder({ path: "images", size: 64 })
  model: resnet18({ width: 8, stem: "cifar" }),
  optimizer: sgd({ momentum: 0.9, nesterov: true }),
  learningRate: 0.1,
  epochs: 6,
  batchSize: 64,
  seed: 1, // the same seed gives the same bits
  plugins: [
    randomCropFlip({ padding: 2 }), // beforeSample: on the bytes of each image
    labelSmoothing({ smoothing: 0.1 }), // beforeBatch: on the targets
    oneCycle(), // resolveLearningRate: every optimizer step
    bestEpoch(),
  ],
});

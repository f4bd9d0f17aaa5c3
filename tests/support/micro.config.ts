/**
 * A run of milliseconds made of built-in parts. Environment variables bend it, since these tests pass no
 * functions.
 */
import { defineConfig, definePlugin, makePart, sgd } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet18 } from "fitloop/models";
import { earlyStopping, ema, labelSmoothing, squeezeExcite, testTimeAugmentation } from "fitloop/plugins";
import { z } from "zod";

const { MICRO = "" } = process.env;

const foreign = definePlugin({
  name: "foreign",
  summary: "Not built in",
  options: z.strictObject({}),
  apply(_, { hooks }) {
    hooks.onStep.tap(({ step }) => {
      if (MICRO === "throws" && step === 1) throw new Error("as told");
      if (MICRO === "exits" && step === 1) process.exit(0);
      if (MICRO === "throws later" && step === 1) setTimeout(() => Promise.reject(new Error("nobody waits for me")));
    });
    if (MICRO === "timer") setInterval(() => {}, 1000);
    if (MICRO === "slow end") hooks.onFitEnd.tap(() => new Promise((resolve) => setTimeout(resolve, 60_000)));
  },
});

const data = makePart(shapes({ classes: 4, size: 8, train: 40, test: 12 }));
const loadsSlowly = MICRO === "slow data" || MICRO === "throws while loading";

export default defineConfig({
  name: "micro",
  data: loadsSlowly
    ? {
        ...data,
        name: "slow-shapes",
        async load(context) {
          context.log?.("loading for a minute");
          if (MICRO === "throws while loading")
            setTimeout(() => {
              throw new Error("nobody waits for me");
            });
          await new Promise((resolve) => setTimeout(resolve, 60_000));
          return data.load(context);
        },
      }
    : data,
  model: resnet18({ width: 2, stem: "cifar" }),
  optimizer: sgd({ momentum: 0.9 }),
  learningRate: 0.05,
  epochs: 2,
  batchSize: 8,
  holdout: 0.2,
  plugins: [
    labelSmoothing(),
    squeezeExcite({ reduction: 1 }),
    ema({ decay: 0.5 }),
    earlyStopping({ patience: 1000 }),
    testTimeAugmentation({ flip: true }),
    ...(MICRO === "" || loadsSlowly ? [] : [foreign()]),
  ],
});

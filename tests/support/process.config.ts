/** A run of a second or two with every kind of randomness and state, for tests that do something to its process. */
import { adamw, defineConfig, definePlugin, sgd } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet18 } from "fitloop/models";
import {
  cosineRestarts,
  cutmix,
  dropout,
  earlyStopping,
  ema,
  gradientAccumulation,
  gradientClipping,
  labelSmoothing,
  mixup,
  progressiveResizing,
  randomCropFlip,
  stochasticDepth,
  testTimeAugmentation,
  visualLog,
} from "fitloop/plugins";
import { z } from "zod";

const { APPETITE, EVERYTHING, FAULT } = process.env;
/** More plugins, another optimizer and bfloat16, for TensorFlow. */
const everything = EVERYTHING !== undefined;

/** Takes memory at its seventh step until there is none, when it is "hungry". */
const eater = definePlugin({
  name: "eater",
  summary: "Takes memory until there is none",
  options: z.strictObject({}),
  apply(_, { hooks }) {
    const eaten: number[][] = [];
    hooks.onStep.tap(({ step }) => {
      while (APPETITE === "hungry" && step === 7) eaten.push(Array.from({ length: 1e6 }, (_, index) => index + 0.5));
    });
  },
});

/** Sends a signal at a place: FAULT is "rank hook count signal", or with "launcher" after it to the process above, with "both" to both; or "none". */
const fault = definePlugin({
  name: "fault",
  summary: "Sends a signal to a rank at a place of the run",
  options: z.strictObject({}),
  apply(_, { hooks }) {
    const [rank, hook, count, signal, whom] = FAULT!.split(" ");
    let calls = 0;
    const hit = (where: string): void => {
      if (process.env.RANK !== rank || hook !== where || ++calls !== Number(count)) return;
      if (whom !== "") process.kill(process.ppid, signal);
      if (whom !== "launcher") process.kill(process.pid, signal);
    };
    hooks.onStep.tap(() => hit("onStep"));
    hooks.afterBackward.tap((gradients) => (hit("afterBackward"), gradients));
    hooks.beforeEvaluate.tap((evaluation) => (hit("beforeEvaluate"), evaluation));
  },
});

export default defineConfig({
  name: "process",
  data: shapes({ classes: 4, size: 8, train: 80, test: 12 }),
  model: resnet18({ width: 2, stem: "cifar" }),
  optimizer: everything ? adamw() : sgd({ momentum: 0.9 }),
  learningRate: everything ? 0.01 : 0.05,
  precision: everything ? "bfloat16" : "float32",
  epochs: 12,
  batchSize: 8,
  holdout: 0.2,
  plugins: [
    dropout({ rate: 0.2 }),
    randomCropFlip({ padding: 1 }),
    ...(everything
      ? [
          mixup({ alpha: 0.4 }),
          progressiveResizing({ from: 0.5, fullFor: 0.3 }),
          gradientClipping({}),
          stochasticDepth(),
          testTimeAugmentation({ flip: true }),
        ]
      : [cutmix({ probability: 0.5 })]),
    labelSmoothing(),
    gradientAccumulation({ factor: 2 }),
    cosineRestarts({ firstCycle: 2, factor: 1 }),
    ema({ decay: 0.9 }),
    earlyStopping({ patience: 100 }),
    visualLog({ every: 1, histograms: 3, prCurves: 1, embeddings: 4 }),
    ...(APPETITE === undefined ? [] : [eater()]),
    ...(FAULT === undefined ? [] : [fault()]),
  ],
});

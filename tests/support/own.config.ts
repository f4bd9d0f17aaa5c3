/** A run of milliseconds with one part of one's own: which, `OWN` says. */
import { defineConfig, definePlugin, layers, losses, makePart, metrics, sgd, type TrainerConfig, z } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet9 } from "fitloop/models";
import { bias } from "./own-parts.js";

const { OWN = "" } = process.env;
const [data, model, optimizer] = [shapes({ classes: 3, size: 8, train: 48, test: 12 }), resnet9({ width: 2 }), sgd()];

const branch = definePlugin({
  name: "own-branch",
  summary: "Takes part when the run is used: it builds the network",
  options: z.strictObject({}),
  apply(_, { hooks }) {
    hooks.buildHead.tap((head) => ({ ...head, kind: "own-head", parts: { inner: layers.identity } }));
  },
});

const step = definePlugin({
  name: "own-step",
  summary: "Takes part in training alone",
  options: z.strictObject({}),
  apply(_, { hooks }) {
    hooks.afterLoss.tap((loss) => bias(loss));
  },
});

const watcher = definePlugin({
  name: "own-watcher",
  summary: "Only watches",
  options: z.strictObject({}),
  observer: true,
  apply(_, { hooks }) {
    hooks.beforeEvaluate.tap((evaluation) => evaluation);
  },
});

const own: Record<string, Partial<TrainerConfig>> = {
  data: { data: { ...makePart(data), name: "own-data" } },
  model: { model: { ...makePart(model), name: "own-model" } },
  optimizer: { optimizer: { ...makePart(optimizer), name: "own-optimizer" } },
  loss: { loss: { ...makePart(losses.focal()), name: "own-loss" } },
  metric: { metrics: [{ ...makePart(metrics.f1()), name: "own-metric" }], monitor: "own-metric" },
  branch: { plugins: [branch()] },
  step: { plugins: [step()] },
  watcher: { plugins: [watcher()] },
};

export default defineConfig({
  name: "own",
  data,
  model,
  optimizer,
  learningRate: 0.05,
  epochs: 2,
  batchSize: 8,
  holdout: 0.25,
  ...own[OWN],
});

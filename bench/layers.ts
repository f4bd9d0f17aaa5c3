/**
 * Our step beside tf.js as it comes, `model.fit` of tf.layers, on the same TensorFlow, in turns:
 *
 *   npm run bench -- layers [--width 64] [--rounds 5] [--steps 3] [--precision float32|bfloat16]
 *
 * ResNet-18 with a CIFAR stem, batch 128 at 32 px. Theirs has no augmentation and no decay; ours has both.
 */
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import type * as TF from "@tensorflow/tfjs";
import { shapes } from "../core/data/index.js";
import { loadBackend, sgd, Trainer } from "../core/index.js";
import { resnet18 } from "../core/models/index.js";
import { l2, labelSmoothing, randomCropFlip } from "../plugins/index.js";
import { median } from "./common/intervals.js";
import { oneOf, whole } from "./common/options.js";

const { values } = parseArgs({
  options: {
    width: { type: "string", default: "64" },
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "3" },
    precision: { type: "string", default: "float32" },
  },
});
const [width, rounds, steps] = [
  whole("width", values.width),
  whole("rounds", values.rounds),
  whole("steps", values.steps),
];
const precision = oneOf("precision", values.precision, ["float32", "bfloat16"]);
const batch = 128;
await loadBackend({ name: "tensorflow" });
// The same copy of tf.js' core as ours, and so the same backend.
const tf = createRequire(import.meta.url)("@tensorflow/tfjs") as typeof TF;

function layersModel(): TF.LayersModel {
  const conv = (x: TF.SymbolicTensor, filters: number, kernelSize: number, strides = 1): TF.SymbolicTensor => {
    const y = tf.layers.conv2d({ filters, kernelSize, strides, padding: "same", useBias: false }).apply(x);
    return tf.layers.batchNormalization().apply(y) as TF.SymbolicTensor;
  };
  const relu = (x: TF.SymbolicTensor): TF.SymbolicTensor => tf.layers.reLU().apply(x) as TF.SymbolicTensor;
  const input = tf.input({ shape: [32, 32, 3] });
  let x = relu(conv(input, width, 3));
  for (const [stage, blocks] of [2, 2, 2, 2].entries()) {
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const filters = width << stage;
      const shortcut = stride === 1 ? x : conv(x, filters, 1, stride);
      const branch = conv(relu(conv(x, filters, 3, stride)), filters, 3);
      x = relu(tf.layers.add().apply([branch, shortcut]) as TF.SymbolicTensor);
    }
  }
  const pooled = tf.layers.globalAveragePooling2d({}).apply(x);
  const model = tf.model({
    inputs: input,
    outputs: tf.layers.dense({ units: 10, activation: "softmax" }).apply(pooled) as TF.SymbolicTensor,
  });
  model.compile({ optimizer: tf.train.momentum(0.01, 0.9, true), loss: "categoricalCrossentropy" });
  return model;
}

const model = layersModel();
async function theirTurn(count: number): Promise<number[]> {
  const x = tf.randomNormal([batch * count, 32, 32, 3]);
  const y = tf.oneHot(
    tf.tidy(() => tf.range(0, batch * count, 1, "int32").mod(tf.scalar(10, "int32"))) as TF.Tensor1D,
    10,
  );
  const seconds: number[] = [];
  let since = 0;
  await model.fit(x, y, {
    batchSize: batch,
    epochs: 1,
    verbose: 0,
    yieldEvery: "never",
    callbacks: {
      onBatchBegin: () => void (since = performance.now()),
      onBatchEnd: () => void seconds.push((performance.now() - since) / 1000),
    },
  });
  tf.dispose([x, y]);
  return seconds;
}

/** The first steps are recorded, and one more is a graph's first. */
const warmUp = 3;
async function ourTurn(): Promise<number[]> {
  const trainer = new Trainer({
    name: "bench",
    data: shapes({ classes: 10, size: 32, train: batch * (steps + warmUp), test: 10 }),
    model: resnet18({ width, stem: "cifar" }),
    optimizer: sgd({ nesterov: true }),
    learningRate: 0.01,
    epochs: 1,
    batchSize: batch,
    holdout: 0,
    backend: "tensorflow",
    precision,
    plugins: [randomCropFlip(), labelSmoothing(), l2({ decay: 5e-4 })],
  });
  const seconds: number[] = [];
  let since = 0;
  trainer.events.on("epoch:start", () => (since = performance.now()));
  trainer.events.on("step", () => {
    seconds.push((performance.now() - since) / 1000);
    since = performance.now();
  });
  await trainer.fit();
  return seconds.slice(warmUp);
}

await theirTurn(1);
const [ours, theirs, ratios] = [[] as number[], [] as number[], [] as number[]];
for (let round = 0; round < rounds; round++) {
  const [mine, layers] = [await ourTurn(), await theirTurn(steps)];
  ours.push(...mine);
  theirs.push(...layers);
  ratios.push(median(layers) / median(mine));
}
const rate = (seconds: number): string => (batch / seconds).toFixed(1).padStart(8);
console.log(`ResNet-18 (CIFAR stem), width ${width}, batch ${batch}, images/s (median step)`);
console.log(`fitloop         ${rate(median(ours))}   ${precision}`);
console.log(`tf.layers fit   ${rate(median(theirs))}   float32`);
console.log(`ratio ${median(ratios).toFixed(2)} (rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")})`);

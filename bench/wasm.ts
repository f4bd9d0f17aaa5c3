/**
 * A training step where TensorFlow is not to be had: `npm run bench -- wasm [--batch 64] [--steps 5]`.
 *
 * WRN-22-1, which is ResNet-20 with its activations before the convolutions (41 M multiply-adds an image of 32 px), on
 * drawn shapes; the same steps on TensorFlow beside it, for the losses.
 */
import { parseArgs } from "node:util";
import { shapes } from "../core/data/index.js";
import { sgd, Trainer } from "../core/index.js";
import { wrn } from "../core/models/index.js";
import { randomCropFlip } from "../plugins/index.js";
import { whole } from "./common/options.js";

const { values } = parseArgs({
  options: { batch: { type: "string", default: "64" }, steps: { type: "string", default: "5" } },
});
const batchSize = whole("batch", values.batch);
const warmUp = 1;

async function steps(backend: "wasm" | "tensorflow"): Promise<{ losses: number[]; seconds: number[] }> {
  const images = batchSize * (whole("steps", values.steps) + warmUp);
  const trainer = new Trainer({
    name: "bench",
    data: shapes({ classes: 10, size: 32, train: images, test: 10 }),
    model: wrn({ depth: 22, width: 1 }),
    optimizer: sgd({ nesterov: true }),
    learningRate: 0.05,
    epochs: 1,
    batchSize,
    holdout: 0,
    maxSteps: images / batchSize,
    limitTest: 10,
    backend,
    plugins: [randomCropFlip()],
  });
  const losses: number[] = [];
  const seconds: number[] = [];
  let since = 0;
  trainer.events.on("epoch:start", () => (since = performance.now()));
  trainer.events.on("step", ({ loss }) => {
    losses.push(loss);
    seconds.push((performance.now() - since) / 1000);
    since = performance.now();
  });
  await trainer.fit();
  return { losses, seconds: seconds.slice(warmUp).sort((a, b) => a - b) };
}

const wasm = await steps("wasm");
const native = await steps("tensorflow");
const median = wasm.seconds[Math.floor(wasm.seconds.length / 2)]!;
const apart = wasm.losses.map((loss, step) => Math.abs(loss / native.losses[step]! - 1).toExponential(1));
console.log(
  `WRN-22-1, batch ${batchSize} at 32 px, wasm on one thread: ${(batchSize / median).toFixed(1)} images/s (median of ${wasm.seconds.length} steps)`,
);
console.log(`losses ${wasm.losses.map((loss) => loss.toFixed(5)).join(" ")}, from TensorFlow's by ${apart.join(" ")}`);

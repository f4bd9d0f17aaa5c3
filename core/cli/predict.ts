/**
 * `trainer predict RUN IMAGE…`: what a finished run says of pictures. Needs the run's folder alone, not its
 * data.
 */
import { existsSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import type { Command } from "commander";
import { loadBackend } from "../backend/index.js";
import { oneLine, openDecoder, type Decoder } from "../data/decode.js";
import { TrainerError } from "../errors.js";
import { Trainer } from "../loop/trainer.js";
import { forward } from "../nn/layer.js";
import * as ops from "../nn/ops.js";
import { weightsFromSafetensors } from "../nn/weights-file.js";
import { toJson } from "../run/json.js";
import { readPreprocessing, type Preprocessing } from "../run/record.js";
import { whole } from "./options.js";
import { finalEvaluation, openRun } from "./open-run.js";
import { percent, tell } from "./terminal.js";

interface PredictOptions {
  top: number;
  json?: boolean;
}

export function addPredict(program: Command): void {
  program
    .command("predict <run> <images...>")
    .description("classify pictures (JPEG, PNG, WebP) with the weights a run ended with")
    .option("--top <k>", "how many classes to show", whole(1), 5)
    .option("--json", "a JSON line a picture")
    .addHelpText(
      "after",
      `
A picture is scaled and its centre cut out to the size of the run's data, and seen as the run's evaluation
sees it.

Example:
  trainer predict runs/cifar100-small-1 cat.jpg dog.png`,
    )
    .action(predict);
}

async function predict(run: string, images: string[], { top, json }: PredictOptions): Promise<void> {
  const missing = images.filter((image) => !existsSync(image));
  if (missing.length > 0) throw new TrainerError("ERR_DATA", `No such picture: ${missing.join(", ")}.`);
  const opened = openRun(run);
  const preprocessing = readPreprocessing(opened.weights, opened.weightsPath);
  const { classes, height, inputSize } = preprocessing;
  const trainer = new Trainer(opened.config);
  const { buildBlock, buildHead } = trainer.hooks.call;
  await loadBackend({ name: trainer.config.backend, log: tell });
  const model = trainer.config.model.build({ classes: classes.length, buildBlock, buildHead });
  const weights = weightsFromSafetensors(opened.weights, model.layer, opened.weightsPath);
  const { views } = finalEvaluation(trainer, weights);
  const decoder = await openDecoder();
  for (const image of images) {
    const pixels = normalised(await decoded(decoder, image, height), preprocessing);
    const probabilities = tf.tidy(() => {
      const picture = ops.resize(
        tf.tensor4d(pixels, [1, height, height, 3]),
        inputSize,
        inputSize,
      ) as tf.Tensor4D;
      const seen = views.map((view) => tf.softmax(forward(model.layer, view.apply(picture), { weights })));
      return Array.from(tf.div(tf.addN(seen), seen.length).dataSync());
    });
    const predictions = probabilities
      .map((probability, index) => ({ class: classes[index]!, probability }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top);
    const lines = json
      ? [toJson({ image, predictions })]
      : [image, ...predictions.map((each) => `  ${percent(each.probability).padStart(7)}  ${each.class}`)];
    process.stdout.write(`${lines.join("\n")}\n`);
  }
}

async function decoded(decoder: Decoder, image: string, size: number): Promise<Uint8Array> {
  try {
    return (await decoder.decode(image, size)).pixels;
  } catch (cause) {
    throw new TrainerError("ERR_DATA", `${image} cannot be decoded: ${oneLine((cause as Error).message)}`, {
      cause,
    });
  }
}

/** As the loader does it: bytes to [0, 1], then each channel by the data's own mean and deviation. */
function normalised(pixels: Uint8Array, { mean, deviation }: Preprocessing): Float32Array {
  return Float32Array.from(
    pixels,
    (value, index) => (value / 255 - mean[index % 3]!) / deviation[index % 3]!,
  );
}

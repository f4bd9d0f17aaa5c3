/** `trainer predict RUN IMAGE…`: what a finished run says of pictures. */
import { existsSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import type { Command } from "commander";
import { decodePicture } from "../data/decode.js";
import { TrainerError } from "../errors.js";
import { Trainer } from "../loop/trainer.js";
import { forward } from "../nn/layer.js";
import * as ops from "../nn/ops.js";
import { weightsFromSafetensors } from "../nn/weights-file.js";
import { toJson } from "../run/json.js";
import { whole } from "./options.js";
import { openRun } from "./open-run.js";
import { percent, tell } from "./terminal.js";

export function addPredict(program: Command): void {
  program
    .command("predict <run> <images...>")
    .description("classify pictures (JPEG, PNG, WebP) with the weights a run ended with")
    .option("--data <path>", "where the data lies now, if it moved (for the names of the classes)")
    .option("--top <k>", "how many classes to show", whole(1), 5)
    .option("--json", "a JSON line a picture")
    .addHelpText("after", "\nExample:\n  trainer predict runs/cifar100-small-1 cat.jpg dog.png")
    .action(predict);
}

async function predict(run: string, images: string[], options: { data?: string; top: number; json?: boolean }): Promise<void> {
  const missing = images.filter((image) => !existsSync(image));
  if (missing.length > 0) throw new TrainerError("ERR_DATA", `No such picture: ${missing.join(", ")}.`);
  const opened = openRun(run, { data: options.data });
  const session = await new Trainer(opened.config).prepare(tell);
  const { data, model, inputSize } = session;
  const weights = weightsFromSafetensors(opened.weights, model.layer, `${opened.path}/weights.safetensors`);
  for (const image of images) {
    const { pixels } = await decodePicture(image, data.height);
    const normalised = Float32Array.from(pixels, (value, index) => {
      const channel = index % 3;
      return (value / 255 - data.mean[channel]!) / data.deviation[channel]!;
    });
    const probabilities = tf.tidy(() => {
      const picture = tf.tensor4d(normalised, [1, data.height, data.width, 3]);
      const logits = forward(model.layer, ops.resize(picture, inputSize, inputSize), { weights });
      return Array.from(tf.softmax(logits).dataSync());
    });
    const ranked = probabilities
      .map((probability, index) => ({ class: data.classes[index]!, probability }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, options.top);
    if (options.json) process.stdout.write(`${toJson({ image, predictions: ranked })}\n`);
    else {
      process.stdout.write(`${image}\n`);
      for (const each of ranked) process.stdout.write(`  ${percent(each.probability).padStart(7)}  ${each.class}\n`);
    }
  }
}

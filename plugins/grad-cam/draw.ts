/** Draws heat maps of a run's images into files. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { createLoader, type FitContext, gradCam, ops, overlay, rowPng, spread, subset } from "../../core/index.js";

export interface DrawSettings {
  images: number;
  of: "predicted" | "true";
  layer?: string;
}

const fileName = (place: number, truth: string, predicted: string): string =>
  `${place}-${truth}-predicted-${predicted}.png`.replaceAll(/[^\w.-]+/g, "-");

/** One PNG. */
export interface Drawing {
  readonly file: string;
  /** Index of the image in the training split. */
  readonly place: number;
  readonly caption: string;
}

/** Writes a PNG for each image, the image beside its overlay, into a folder that it creates. */
export async function draw(
  run: FitContext,
  weights: ReadonlyMap<string, tf.Tensor>,
  folder: string,
  settings: DrawSettings,
): Promise<Drawing[]> {
  const { data, model, inputSize } = run;
  const { height, width, classes: names } = data;
  const places = spread(run.validationIndices.length > 0 ? run.validationIndices : run.trainIndices, settings.images);
  const split = subset(data.train, places);
  const originals = await split.read(places.map((_, at) => at));
  // The loader normalises as in training; one batch holds all images.
  const loader = createLoader({ ...data, split, batchSize: places.length, seed: 0, shuffle: false });
  const drawings: Drawing[] = [];
  await mkdir(folder, { recursive: true });
  for await (const { images, labels } of loader.epoch(0)) {
    const [maps, predicted] = tf.tidy(() => {
      const plain = tf.tensor4d(images, [labels.length, height, width, 3]);
      const sized = ops.resize(plain, inputSize, inputSize) as tf.Tensor4D;
      const classes = settings.of === "true" ? labels : undefined;
      const asked = { model, weights, classes, layer: settings.layer, size: [height, width] as const };
      const { upsampled, logits } = gradCam({ ...asked, images: sized });
      return [upsampled.dataSync() as Float32Array, tf.argMax(logits, 1).dataSync()] as const;
    });
    const area = height * width;
    for (const [at, image] of originals.entries()) {
      const drawn = overlay(image, maps.subarray(at * area, (at + 1) * area));
      const [truth, answer] = [names[labels[at]!]!, names[predicted[at]!]!];
      const file = join(folder, fileName(places[at]!, truth, answer));
      await writeFile(file, await rowPng([image, drawn]));
      drawings.push({ file, place: places[at]!, caption: `${truth}, predicted ${answer}` });
    }
  }
  return drawings;
}

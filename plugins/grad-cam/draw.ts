/** From a run's pictures to files that people look at. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { createLoader, gradCam, ops, overlay, type Run, rowPng, spread, subset } from "../../core/index.js";

export interface DrawSettings {
  pictures: number;
  of: "predicted" | "true";
  layer?: string;
}

const fileName = (place: number, truth: string, said: string): string =>
  `${place}-${truth}-said-${said}.png`.replaceAll(/[^\w.-]+/g, "-");

/** One PNG. */
export interface Drawing {
  readonly file: string;
  /** Place of the picture in the training split. */
  readonly place: number;
  readonly caption: string;
}

/** Writes a PNG a picture, itself beside itself under its map, into a folder that is made. */
export async function draw(
  run: Run,
  weights: ReadonlyMap<string, tf.Tensor>,
  folder: string,
  settings: DrawSettings,
): Promise<Drawing[]> {
  const { data, model, inputSize } = run;
  const { height, width, classes: names } = data;
  const places = spread(run.heldIndices.length > 0 ? run.heldIndices : run.trainIndices, settings.pictures);
  const split = subset(data.train, places);
  const pictures = await split.read(places.map((_, at) => at));
  // The loader normalises as in training; one batch holds them all.
  const loader = createLoader({ ...data, split, batchSize: places.length, seed: 0, shuffle: false });
  const drawings: Drawing[] = [];
  await mkdir(folder, { recursive: true });
  for await (const { images, labels } of loader.epoch(0)) {
    const [maps, said] = tf.tidy(() => {
      const plain = tf.tensor4d(images, [labels.length, height, width, 3]);
      const sized = ops.resize(plain, inputSize, inputSize) as tf.Tensor4D;
      const classes = settings.of === "true" ? labels : undefined;
      const asked = { model, weights, classes, layer: settings.layer, size: [height, width] as const };
      const { upsampled, logits } = gradCam({ ...asked, images: sized });
      return [upsampled.dataSync() as Float32Array, tf.argMax(logits, 1).dataSync()] as const;
    });
    const area = height * width;
    for (const [at, picture] of pictures.entries()) {
      const drawn = overlay(picture, maps.subarray(at * area, (at + 1) * area));
      const [truth, answer] = [names[labels[at]!]!, names[said[at]!]!];
      const file = join(folder, fileName(places[at]!, truth, answer));
      await writeFile(file, await rowPng([picture, drawn]));
      drawings.push({ file, place: places[at]!, caption: `${truth}, said ${answer}` });
    }
  }
  return drawings;
}

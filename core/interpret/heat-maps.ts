/** Grad-CAM over the images of a split, a batch at a time, as plain numbers. */
import * as tf from "@tensorflow/tfjs-core";
import type { Data, Image, Split } from "../data/dataset.js";
import { normalised } from "../data/normalise.js";
import type { Weights } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import { resize } from "../nn/ops.js";
import { type GradCamOptions, gradCam } from "./grad-cam.js";

/** A network and how its input is made from the data's images. */
export interface Explained {
  readonly network: { model: Model; weights: Weights; layer?: string };
  readonly data: Data;
  /** Pixels of the network's input for one pixel of the data. */
  readonly zoom: number;
}

/** Images of a split, by index. */
export interface ImageSet {
  readonly split: Split;
  readonly indices: Int32Array;
}

/** A heat map and the class that it explains. */
export interface HeatMap {
  /** Index in the split. */
  readonly index: number;
  readonly image: Image;
  readonly class: number;
  readonly probability: number;
  /** The class with the largest probability, which may be another. */
  readonly predicted: { readonly class: number; readonly probability: number };
  /** [height, width] of the image, in [0, 1]. */
  readonly map: Float32Array;
}

/** Every image of a split. */
export const allOf = (split: Split): ImageSet => ({
  split,
  indices: Int32Array.from({ length: split.length }, (_, index) => index),
});

/**
 * Heat maps of one batch.
 *
 * @param input makes the network's input, [batch, height, width, 3]; called inside a tidy
 * @returns for each image the explained class and its probability, the predicted class and its probability, and the map:
 *   [batch, ...size] in one array
 */
export function heatMapsOf(
  input: () => tf.Tensor4D,
  options: Omit<GradCamOptions, "images">,
): {
  classes: Int32Array;
  probabilities: number[];
  predicted: { class: number; probability: number }[];
  maps: Float32Array;
} {
  return tf.tidy(() => {
    const { classes, logits, upsampled } = gradCam({ ...options, images: input() });
    const rows = tf.softmax(logits).arraySync() as number[][];
    const probabilities = rows.map((row, at) => row[classes[at]!]!);
    const predicted = rows.map((row) => {
      const largest = Math.max(...row);
      return { class: row.indexOf(largest), probability: largest };
    });
    return { classes, probabilities, predicted, maps: upsampled.dataSync() as Float32Array };
  });
}

/** The network's input for images of [batch, height, width], resized as in training. Call it inside a tidy. */
export function inputOf(
  pixels: Float32Array,
  [batch, height, width]: readonly [number, number, number],
  zoom: number,
): tf.Tensor4D {
  const images = tf.tensor4d(pixels, [batch, height, width, 3]);
  return resize(images, Math.round(zoom * height), Math.round(zoom * width)) as tf.Tensor4D;
}

const batchSize = 64;

/**
 * A heat map for every image of the set, in order.
 *
 * @param classOf the class to explain, by index in the split; the predicted class where it returns undefined
 */
export async function* heatMaps(
  { split, indices }: ImageSet,
  { network, data, zoom }: Explained,
  classOf: (index: number) => number | undefined,
): AsyncGenerator<HeatMap> {
  for (let from = 0; from < indices.length; from += batchSize) {
    const batch = Array.from(indices.subarray(from, from + batchSize));
    const images = await split.read(batch);
    const { height, width } = images[0]!;
    const wanted = batch.map(classOf);
    const classes = wanted.every((each) => each !== undefined) ? wanted : undefined;
    const pixels = normalised(images, data);
    const found = heatMapsOf(() => inputOf(pixels, [batch.length, height, width], zoom), {
      ...network,
      classes,
      size: [height, width],
    });
    const area = height * width;
    for (const [at, index] of batch.entries()) {
      yield {
        index,
        image: images[at]!,
        class: found.classes[at]!,
        probability: found.probabilities[at]!,
        predicted: found.predicted[at]!,
        map: found.maps.subarray(at * area, (at + 1) * area),
      };
    }
  }
}

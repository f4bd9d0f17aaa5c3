/** The images whose true class has the lowest probability, each beside its Grad-CAM, as files of a run's report. */
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Data, Image, Split } from "../core/data/dataset.js";
import { type Decoder, openDecoder } from "../core/data/decode.js";
import { normalised } from "../core/data/normalise.js";
import { writeFileAtomic } from "../core/files.js";
import { predictedClass } from "../core/interpret/confusion.js";
import { gradCam } from "../core/interpret/grad-cam.js";
import { enlarged, overlay, rowJpeg, rowPng } from "../core/interpret/overlay.js";
import type { FitContext, Outputs } from "../core/loop/types.js";
import { resize } from "../core/nn/ops.js";
import type { ImageRecord } from "./kept.js";
import { withoutHome } from "./text.js";

const shownWorst = 12;

/** Pixels of an image that is decoded again from its file, at most; and of the network's own, at least. */
const [decodedSide, enlargedSide] = [256, 96];

/** What a page shows, and the same as a PNG with one line under it, for boards that draw nothing else. */
export interface WorstImage {
  readonly page: ImageRecord;
  /** Relative to the run's folder. */
  readonly png: string;
  readonly caption: string;
}

/** What was evaluated, and how. */
export interface Evaluated {
  readonly split: Split;
  /** Places in `split`, in the order of the outputs. */
  readonly indices: ArrayLike<number>;
  readonly outputs: Outputs;
  readonly weights: ReadonlyMap<string, tf.Tensor>;
}

/**
 * Writes the files into a folder of the run's.
 *
 * @param folder inside the run's folder: `report`
 * @param name of the split, in the files' names
 * @throws TrainerError where Grad-CAM cannot look into the network, or an image cannot be read
 */
export async function drawWorst(
  { data, model, inputSize, folder: root }: Pick<FitContext, "data" | "model" | "inputSize" | "folder">,
  { split, indices, outputs: { probabilities, labels }, weights }: Evaluated,
  folder: string,
  name: string,
): Promise<WorstImage[]> {
  const { classes, height, width } = data;
  const ofTruth = (row: number): number => probabilities[row * classes.length + labels[row]!]!;
  const rows = Array.from(labels, (_, row) => row)
    .filter((row) => Number.isFinite(ofTruth(row)))
    .sort((a, b) => ofTruth(a) - ofTruth(b))
    .slice(0, shownWorst);
  if (rows.length === 0) return [];
  const places = rows.map((row) => indices[row]!);
  const images = await split.read(places);
  const predicted = rows.map((row) => predictedClass(probabilities, row, classes.length));
  const larger = await largerImages(split, places, data);
  let maps!: { own: Float32Array; raw: Float32Array; size: readonly [number, number] };
  // Not as the result of the tidy, which would look into each value for a tensor.
  tf.tidy(() => {
    const input = tf.tensor4d(normalised(images, data), [rows.length, height, width, 3]);
    const found = gradCam({
      model,
      weights,
      images: resize(input, inputSize, inputSize) as tf.Tensor4D,
      classes: predicted,
      size: [height, width],
    });
    const [, down, across] = found.maps.shape;
    maps = {
      own: found.upsampled.dataSync() as Float32Array,
      raw: found.maps.dataSync() as Float32Array,
      size: [down, across] as const,
    };
  });
  const area = height * width;
  const [down, across] = maps.size;
  const mapOf = (at: number): Float32Array => maps.raw.subarray(at * down * across, (at + 1) * down * across);
  return Promise.all(
    images.map(async (image, at): Promise<WorstImage> => {
      const file = `worst-${name}-${String(at + 1).padStart(2, "0")}`;
      const write = (ending: string, bytes: Uint8Array): string => {
        writeFileAtomic(join(root!, folder, `${file}.${ending}`), bytes);
        return `${folder}/${file}.${ending}`;
      };
      const heated = overlay(image, maps.own.subarray(at * area, (at + 1) * area));
      const png = write("png", await rowPng([image, heated], enlargedSide));
      const photo = larger[at];
      const path = photo
        ? write("jpg", await rowJpeg([photo, overlay(photo, enlarged(mapOf(at), maps.size, photo))]))
        : png;
      const [truth, guess] = [labels[rows[at]!]!, predicted[at]!];
      const percent = (label: number): string =>
        `${(100 * probabilities[rows[at]! * classes.length + label]!).toFixed(1)} %`;
      const place = split.file?.(places[at]!).name ?? withoutHome(split.describe(places[at]!));
      const correct = truth === guess;
      const lines = [
        `predicted ${classes[guess]} ${percent(guess)}`,
        correct ? "correct" : `true ${classes[truth]} ${percent(truth)}`,
        place,
      ];
      const caption = `${classes[truth]} (${percent(truth)}), predicted ${classes[guess]}; ${place}`;
      return { page: { path, lines, correct }, png, caption };
    }),
  );
}

/**
 * Images decoded again from their files, square as the network's and cut as these are, where that shows more than the
 * network sees.
 */
async function largerImages(
  split: Split,
  places: readonly number[],
  { height, width, decoding }: Pick<Data, "height" | "width" | "decoding">,
): Promise<(Image | undefined)[]> {
  if (!split.file || height !== width || height >= decodedSide) return places.map(() => undefined);
  const decoder = await openDecoder(decoding);
  return Promise.all(places.map((place) => larger(decoder, split.file!(place).path, height)));
}

async function larger(decoder: Decoder, path: string, least: number): Promise<Image | undefined> {
  try {
    const { default: sharp } = await import("sharp");
    const { width, height } = await sharp(path).metadata();
    const side = Math.min(decodedSide, width, height);
    return side > least ? await decoder.decode(path, side) : undefined;
  } catch {
    return undefined; // gone or changed since it was read: the network's pixels are there
  }
}

/** A run's network for images that its data set does not hold: what they need before it, and what its answers mean. */
import * as tf from "@tensorflow/tfjs-core";
import type { Decoding, Image } from "../core/data/dataset.js";
import { type Decoder, oneLine, openDecoder } from "../core/data/decode.js";
import { normalised } from "../core/data/normalise.js";
import { TrainerError } from "../core/errors.js";
import { atTemperature } from "../core/interpret/temperature.js";
import { buildModel } from "../core/loop/build-model.js";
import { type Averaging, combineViews, plainView, viewOutputs } from "../core/loop/evaluate.js";
import type { Trainer } from "../core/loop/trainer.js";
import type { Evaluation } from "../core/loop/types.js";
import { inPrecision, type Weights } from "../core/nn/layer.js";
import type { Model } from "../core/nn/model.js";
import * as ops from "../core/nn/ops.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { type Preprocessing, readPreprocessing } from "./preprocessing.js";

/** An image: a file's path, a file's bytes (JPEG, PNG, WebP, GIF, TIFF, AVIF), or decoded RGB bytes of any size. */
export type ImageSource = string | Uint8Array | Image;

/** `views` and `average`: how the run's evaluation sees an image. */
export interface Network extends Averaging {
  readonly model: Model;
  readonly weights: Weights;
  readonly preprocessing: Preprocessing;
  /** Of its probabilities; 1 where the run is not calibrated. */
  readonly temperature: number;
}

/**
 * Builds a run's network. The backend must be loaded; the weights are the caller's.
 *
 * @param precision of the activations; default the run's
 */
export function openNetwork(
  trainer: Trainer,
  bytes: Uint8Array,
  where: string,
  precision = trainer.config.precision,
): Omit<Network, "temperature"> {
  const preprocessing = readPreprocessing(bytes, where);
  const { classes, inputSize } = preprocessing;
  const built = buildModel(trainer.config, trainer.hooks.call, { classes: classes.length, inputSize });
  const model = { ...built, layer: inPrecision(built.layer, precision) };
  const weights = weightsFromSafetensors(bytes, model.layer, where);
  const { views, average } = finalEvaluation(trainer, weights);
  return { model, weights, views, average, preprocessing };
}

/**
 * How an evaluation of a run uses its final weights: plugins may add views; averaged or best weights, which plugins would
 * put in their place, are in the weights file already.
 */
export function finalEvaluation(trainer: Trainer, weights: Weights): Evaluation {
  const { epochs = 1 } = trainer.config;
  const evaluation: Evaluation = { purpose: "validation", weights, source: "final", views: [plainView] };
  const progress = { epoch: 0, epochs, step: 0, stepsPerEpoch: 1, totalSteps: epochs };
  return { ...trainer.hooks.call.beforeEvaluate(evaluation, progress), weights, source: "final" };
}

/** [images, inputSize, inputSize, 3], as in training; to be made inside a tidy. */
export function networkInput(images: readonly Image[], preprocessing: Preprocessing): tf.Tensor4D {
  const { height, width } = images[0]!;
  const pixels = tf.tensor4d(normalised(images, preprocessing), [images.length, height, width, 3]);
  return ops.resize(pixels, preprocessing.inputSize, preprocessing.inputSize) as tf.Tensor4D;
}

/** Probabilities of decoded images, [images, classes] row by row: the mean over the run's views, at its temperature. */
export function classify(network: Network, images: readonly Image[]): Float32Array {
  const { preprocessing, temperature } = network;
  const classes = preprocessing.classes.length;
  let answers: Float32Array[] = [];
  // Not returned from the tidy, which would look for tensors in every number.
  tf.tidy(() => {
    answers = viewOutputs(network, networkInput(images, preprocessing));
  });
  return atTemperature(combineViews(answers, network, classes), classes, temperature);
}

const decoders = new Map<string, Promise<Decoder>>();

function decoderFor(decoding: Decoding): Promise<Decoder> {
  const key = JSON.stringify(decoding);
  return decoders.get(key) ?? decoders.set(key, openDecoder(decoding)).get(key)!;
}

/**
 * An image at the size of the run's data: the shorter side scaled, the centre cut out. One of that size is taken as it is.
 *
 * @throws TrainerError ERR_DATA for what is no image
 */
export async function readImage(source: ImageSource, { height, width, decoding }: Preprocessing): Promise<Image> {
  if (typeof source === "object" && "pixels" in source) {
    checkDecoded(source);
    if (source.height === height && source.width === width) return source;
  }
  const { decode } = await decoderFor(decoding);
  try {
    return await decode(source, height);
  } catch (cause) {
    throw new TrainerError(
      "ERR_DATA",
      `${describeImage(source)} cannot be decoded: ${oneLine((cause as Error).message)}`,
      {
        cause,
      },
    );
  }
}

function checkDecoded({ pixels, height, width }: Image): void {
  const sizes = [height, width].every((side) => Number.isInteger(side) && side > 0);
  if (pixels instanceof Uint8Array && sizes && pixels.length === height * width * 3) return;
  const got = pixels instanceof Uint8Array ? `${pixels.length} bytes` : typeof pixels;
  throw new TrainerError(
    "ERR_DATA",
    `A decoded image of ${height} × ${width}: expected ${height * width * 3} bytes of RGB in "pixels", got ${got}.`,
  );
}

/** An image's name in a message. */
export function describeImage(source: ImageSource): string {
  if (typeof source === "string") return source;
  return "pixels" in source
    ? `A decoded image of ${source.height} × ${source.width}`
    : `An image of ${source.length} bytes`;
}

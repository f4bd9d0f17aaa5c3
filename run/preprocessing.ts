/** What a run's network expects of an image: stored in the weights file, beside the weights. */
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { interpolations } from "../core/data/dataset.js";
import { defaultDecoding, earlierDecoding } from "../core/data/decode.js";
import { reasonOf, TrainerError } from "../core/errors.js";
import type { FitContext } from "../core/loop/types.js";
import { readSafetensors } from "../core/nn/safetensors.js";
import { weightsToSafetensors } from "../core/nn/weights-file.js";

const side = z.int().positive();
const channels = z.array(z.number()).length(3);
const preprocessingShape = z.object({
  classes: z.array(z.string()).min(2),
  height: side,
  width: side,
  inputSize: side,
  mean: channels,
  deviation: channels.refine((values) => values.every((value) => value > 0), "expected numbers above 0"),
  decoding: z
    .object({ crop: z.number().gt(0).max(1), interpolation: z.enum(interpolations), colorProfiles: z.boolean() })
    .default(earlierDecoding),
});

/** What an image needs before the network sees it, and what the network's answers are called. */
export type Preprocessing = Readonly<z.output<typeof preprocessingShape>>;

/** Inside the weights file, so that a prediction needs no data set. */
const preprocessingKey = "fitloop.preprocessing";

/** A weights file with the preprocessing of its run. */
export function weightsFile(
  { model, data, inputSize }: FitContext,
  weights: ReadonlyMap<string, tf.Tensor>,
): Uint8Array {
  const { classes, height, width, mean, deviation, decoding = defaultDecoding } = data;
  const preprocessing: Preprocessing = {
    classes: [...classes],
    height,
    width,
    inputSize,
    mean: [...mean],
    deviation: [...deviation],
    decoding,
  };
  const metadata = { [preprocessingKey]: JSON.stringify(preprocessing) };
  return weightsToSafetensors(weights, model.layer, metadata, { checksum: true });
}

/** @throws TrainerError ERR_WEIGHTS for a file that a run did not write */
export function readPreprocessing(bytes: Uint8Array, where: string): Preprocessing {
  const text = readSafetensors(bytes, where).metadata[preprocessingKey];
  if (text === undefined) {
    throw new TrainerError(
      "ERR_WEIGHTS",
      `${where} has no preprocessing of images. Expected weights that a run wrote.`,
    );
  }
  try {
    return preprocessingShape.parse(JSON.parse(text));
  } catch (cause) {
    const problem =
      cause instanceof z.ZodError ? `${cause.issues[0]!.path.join(".")} ${cause.issues[0]!.message}` : reasonOf(cause);
    throw new TrainerError("ERR_WEIGHTS", `${where}, metadata "${preprocessingKey}": ${problem}.`, { cause });
  }
}

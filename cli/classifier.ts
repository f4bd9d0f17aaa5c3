/** A finished run's network, for pictures that its data set does not hold. Needs the run's folder alone. */
import { existsSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend } from "../core/backend/index.js";
import type { Picture } from "../core/data/dataset.js";
import { oneLine, openDecoder } from "../core/data/decode.js";
import { normalised } from "../core/data/normalise.js";
import { TrainerError } from "../core/errors.js";
import { Trainer } from "../core/loop/trainer.js";
import type { View } from "../core/loop/types.js";
import { inPrecision, type Weights } from "../core/nn/layer.js";
import type { Model } from "../core/nn/model.js";
import * as ops from "../core/nn/ops.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { readPreprocessing } from "../run/record.js";
import { finalEvaluation, openRun } from "./open-run.js";
import { tell } from "./terminal.js";

export interface Classifier {
  readonly model: Model;
  readonly weights: Weights;
  /** As the run's own evaluation looks at a picture. */
  readonly views: readonly View[];
  readonly classes: readonly string[];
  /** A picture file, scaled and its centre cut out to the size of the run's data. @throws TrainerError ERR_DATA */
  read(file: string): Promise<Picture>;
  /** [1, inputSize, inputSize, 3], normalised as in training; the caller's, to be made inside a tidy. */
  input(picture: Picture): tf.Tensor4D;
}

/** @throws TrainerError ERR_DATA for a folder that is no finished run, ERR_CONFIG for one that needs code */
export async function openClassifier(run: string): Promise<Classifier> {
  const opened = openRun(run);
  const preprocessing = readPreprocessing(opened.weights, opened.weightsPath);
  const { classes, height, inputSize } = preprocessing;
  const trainer = new Trainer(opened.config);
  const { buildBlock, buildHead } = trainer.hooks.call;
  await loadBackend({ name: trainer.config.backend, log: tell });
  const built = trainer.config.model.build({ classes: classes.length, buildBlock, buildHead });
  const model = { ...built, layer: inPrecision(built.layer, trainer.config.precision) };
  const weights = weightsFromSafetensors(opened.weights, model.layer, opened.weightsPath);
  const decoder = await openDecoder();
  return {
    model,
    weights,
    views: finalEvaluation(trainer, weights).views,
    classes,
    async read(file) {
      try {
        return await decoder.decode(file, height);
      } catch (cause) {
        throw new TrainerError("ERR_DATA", `${file} cannot be decoded: ${oneLine((cause as Error).message)}`, {
          cause,
        });
      }
    },
    input(picture) {
      const pixels = tf.tensor4d(normalised([picture], preprocessing), [1, picture.height, picture.width, 3]);
      return ops.resize(pixels, inputSize, inputSize) as tf.Tensor4D;
    },
  };
}

/** @throws TrainerError ERR_DATA naming every file that is not there */
export function mustExist(files: readonly string[]): void {
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length > 0) throw new TrainerError("ERR_DATA", `No such picture: ${missing.join(", ")}.`);
}

/** NaN and infinity: what a step that is not finite reports, and where the numbers first went wrong. */
import type * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { forward } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import { type LossOfStep, notFiniteLoss } from "./loss-taps.js";
import type { Gradients } from "./types.js";

/** A step whose numbers are not finite. It was not applied. */
export interface Divergence {
  /** What was looked at: "loss", "gradient norm", "running statistics". */
  readonly what: string;
  readonly value: number;
  /** The first tensor that holds a NaN or infinity, in the order of the computation. */
  readonly first?: string;
  readonly epoch: number;
  /** Optimizer steps done before. */
  readonly step: number;
  readonly microBatch: number;
  readonly learningRate: number;
  /** Indices in `data.train` of the images of the micro-batch. */
  readonly samples: readonly number[];
  /** Their names for people: paths relative to the data set, where it has files. */
  readonly images: readonly string[];
}

/** "cats/1.jpg (17), cats/2.jpg (18)", and how many there are where not all are shown. */
export function imagesOf({ samples, images }: Pick<Divergence, "samples" | "images">, most = samples.length): string {
  const shown = samples.slice(0, most).map((sample, at) => `${images[at]} (${sample})`);
  return [...shown, ...(samples.length > most ? [`… (${samples.length} images)`] : [])].join(", ");
}

/** An ERR_DIVERGED with its report. */
export class DivergedError extends TrainerError {
  readonly divergence: Divergence;

  constructor(divergence: Divergence) {
    const { what, value, first, epoch, step, learningRate } = divergence;
    super(
      "ERR_DIVERGED",
      `The ${what} is ${value} in epoch ${epoch + 1}, step ${step + 1}. The step was not applied. ` +
        (first === undefined ? "" : `The first tensor that is not finite: ${first}. `) +
        `The learning rate was ${learningRate}; images, with their indices in the training data: ${imagesOf(divergence, 8)}. ` +
        "Lower the learning rate, add warmup or gradient clipping, and check the data." +
        (step > 0 ? ` To inspect it: trainer replay RUN --step ${step + 1}` : ""), // a run without a step leaves no record
    );
    this.divergence = divergence;
  }
}

const isFiniteTensor = (tensor: tf.Tensor): boolean => (tensor.dataSync() as Float32Array).every(Number.isFinite);

/**
 * The first tensor of a step that is not finite: images, targets, weights, each layer's output on the way to the
 * logits, the loss and what each plugin made of it, gradients from the head down. Reads everything back: for a step that has failed already.
 */
export function firstNotFinite(
  model: Model,
  ofLoss: LossOfStep,
  weights: ReadonlyMap<string, tf.Tensor>,
  uniform: (path: string, shape: number[]) => tf.Tensor,
  gradients?: Gradients,
): string | undefined {
  const batch = ofLoss.step.batch!;
  if (!isFiniteTensor(batch.images)) return "the images";
  if (!isFiniteTensor(batch.targets)) return "the targets";
  for (const [name, value] of weights) if (!isFiniteTensor(value)) return `the weight ${name}`;
  let output: string | undefined;
  const logits = forward(model.layer, batch.images, {
    weights,
    training: true,
    uniform,
    observe: (path, value) => {
      if (output === undefined && !isFiniteTensor(value)) output = `the output of ${path}`;
      return value;
    },
  });
  if (output !== undefined) return output;
  const loss = notFiniteLoss(ofLoss, logits);
  if (loss !== undefined) return loss;
  for (const [name, value] of [...(gradients ?? [])].reverse()) {
    if (!isFiniteTensor(value)) return `the gradient of ${name}`;
  }
  return undefined;
}

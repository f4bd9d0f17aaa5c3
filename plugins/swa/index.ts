/** Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights that the last epochs ended with. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import {
  createLoader,
  definePlugin,
  type FitContext,
  forward,
  needsEpochs,
  type Stream,
  subset,
} from "../../core/index.js";

const options = z.strictObject({
  start: z.number().min(0).lt(1).default(0.75).describe("share of the run after which epochs are averaged"),
});

type Values = ReadonlyMap<string, tf.Tensor>;

/** average + (weights - average) / count, the mean of `count` weights: PyTorch's AveragedModel. */
export function meanWith(average: Values, weights: Values, count: number): Values {
  return new Map(
    [...average].map(([name, value]) => {
      const next = tf.tidy(() => tf.add(value, tf.div(tf.sub(weights.get(name)!, value), count)));
      return [name, tf.keep(next)];
    }),
  );
}

/** Clones share their values with the originals and outlive them: the loop replaces weights at every step. */
const copied = (weights: Values): Values =>
  new Map([...weights].map(([name, value]) => [name, tf.keep(value.clone())]));

const disposeAll = (values: Values): void => {
  for (const value of values.values()) value.dispose();
};

/** The next running statistics of a forward pass in training, where all of them were `before`. The caller disposes of them. */
function statisticsAfter(
  { model }: Pick<FitContext, "model">,
  images: tf.Tensor,
  weights: Values,
  before: number,
  random: Stream,
): Map<string, tf.Tensor> {
  const next = new Map<string, tf.Tensor>();
  const filled = new Map(weights);
  tf.tidy(() => {
    for (const name of weights.keys())
      if (isStatistic(name)) filled.set(name, tf.fill(weights.get(name)!.shape, before));
    forward(model.layer, images, {
      weights: filled,
      training: true,
      onBuffer: (name, value) => void next.set(name, value),
      uniform: (_, shape) =>
        tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, random.uniform), shape),
    });
  });
  return next;
}

const isStatistic = (name: string): boolean => /\.running_(mean|var)$/.test(name);

/**
 * Running statistics of these weights: the mean over the batches of one epoch of each batch's own, as PyTorch's update_bn.
 * A norm's next statistics are (1 - m) · old + m · batch: with old ones of 0 and 1 a batch tells m, then its own.
 */
export async function recomputed(run: FitContext, weights: Values, random: Stream): Promise<Map<string, tf.Tensor>> {
  const { data, trainIndices, config, inputSize } = run;
  const { height, width, mean, deviation } = data;
  const loader = createLoader({
    split: subset(data.train, trainIndices),
    batchSize: config.batchSize,
    seed: config.seed,
    shuffle: false,
    ...{ height, width, mean, deviation },
  });
  let batches = 0;
  let momentum: ReadonlyMap<string, number> | undefined;
  let sums = new Map<string, tf.Tensor>();
  for await (const { images: values, size } of loader.epoch(0)) {
    if (size === 1) continue; // one image has no variance over 1 × 1 maps
    const images = tf.tidy(() => {
      const raw = tf.tensor4d(values, [size, height, width, 3]);
      return tf.image.resizeBilinear(raw, [inputSize, inputSize], false, true);
    });
    const zero = statisticsAfter(run, images, weights, 0, random);
    if (!momentum) {
      const one = statisticsAfter(run, images, weights, 1, random);
      momentum = new Map([...zero].map(([name, low]) => [name, momentumOf(low, one.get(name)!)]));
      disposeAll(one);
    }
    const before = sums;
    sums = new Map(
      [...zero].map(([name, value]) => {
        const own = tf.tidy(() => {
          const batch = tf.div(value, momentum!.get(name)!);
          return before.has(name) ? tf.add(before.get(name)!, batch) : batch;
        });
        return [name, tf.keep(own)];
      }),
    );
    disposeAll(before);
    disposeAll(zero);
    images.dispose();
    batches++;
  }
  const means = new Map([...sums].map(([name, sum]) => [name, tf.keep(tf.tidy(() => tf.div(sum, batches)))]));
  disposeAll(sums);
  return means;
}

/** Six digits: what float32 leaves of the difference, and all that anyone writes. */
const momentumOf = (low: tf.Tensor, high: tf.Tensor): number =>
  Number((1 - (high.dataSync()[0]! - low.dataSync()[0]!)).toFixed(6));

export const swa = definePlugin({
  name: "swa",
  summary: "Ends with the mean of the last epochs' weights, with running statistics of its own",
  options,
  conflicts: ["ema", "early-stopping"],
  check: (_, { epochs }) => (epochs === undefined ? [needsEpochs("swa")] : []),
  apply({ start }, { hooks, stream }) {
    let average: Values = new Map();
    let count = 0;
    let complete = false;
    let run: FitContext | undefined;
    const replace = (next: Values): void => {
      disposeAll(average);
      average = next;
    };
    // Late: after plugins that load weights. Held from the start, so that a run that fits into the memory fits to its end.
    hooks.onFitStart.tap({ stage: "late" }, (started) => {
      run = started;
      if (average.size === 0) replace(copied(started.weights()));
    });
    hooks.onEpochEnd.tap(async ({ epoch, epochs, whole }) => {
      if (!whole || epoch + 1 <= start * epochs) return;
      const weights = run!.weights();
      count++;
      replace(count === 1 ? copied(weights) : meanWith(average, weights, count));
      if (epoch + 1 < epochs) return;
      const statistics = await recomputed(run!, average, stream(epoch));
      for (const name of statistics.keys()) average.get(name)!.dispose();
      average = new Map([...average, ...statistics]);
      complete = true;
    });
    hooks.beforeEvaluate.tap({ stage: "early" }, (evaluation) =>
      evaluation.purpose === "final" && complete
        ? { ...evaluation, weights: average, source: `mean of ${count} epochs` }
        : evaluation,
    );
    return {
      save: () => ({ values: { count, complete }, tensors: average }),
      load({ values, tensors }) {
        ({ count, complete } = values as { count: number; complete: boolean });
        replace(tensors ?? new Map());
      },
      dispose: () => replace(new Map()),
    };
  },
});

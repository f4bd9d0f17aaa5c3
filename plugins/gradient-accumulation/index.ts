/** Gradient accumulation: one optimizer step for several micro-batches, where memory limits the batch. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type Gradients } from "../../core/index.js";

const options = z.strictObject({
  factor: z
    .int()
    .positive()
    .default(4)
    .describe("micro-batches per optimizer step; the last step of an epoch may have fewer"),
});

/** Whether a window ends here: when it is full, and at the end of an epoch, so that nothing carries over. */
export function endsWindow(batchInEpoch: number, batchesInEpoch: number, factor: number): boolean {
  return (batchInEpoch + 1) % factor === 0 || batchInEpoch + 1 === batchesInEpoch;
}

/**
 * sum + n * gradient, for each parameter. A gradient is a mean over n_i images, so the window's is
 * sum_i (n_i / N) gradient_i, with N images in the window. A short micro-batch counts by its size.
 */
export function accumulated(sums: Gradients, gradients: Gradients, samples: number): Map<string, tf.Tensor> {
  return new Map(
    [...gradients].map(([name, gradient]) => {
      const weighted = tf.mul(gradient, samples);
      const sum = sums.get(name);
      return [name, sum ? tf.add(sum, weighted) : weighted];
    }),
  );
}

export const gradientAccumulation = definePlugin({
  name: "gradient-accumulation",
  summary: "One optimizer step for several micro-batches, weighted by their images",
  options,
  apply({ factor }, { hooks }) {
    let sums: ReadonlyMap<string, tf.Tensor> = new Map();
    let samples = 0;
    const replace = (next: ReadonlyMap<string, tf.Tensor>, count: number): void => {
      for (const sum of sums.values()) sum.dispose();
      sums = next;
      samples = count;
    };

    hooks.afterBackward.tap((gradients, step) => {
      if (step.batchInEpoch % factor === 0) replace(new Map(), 0); // the end of the previous window may have been skipped
      const ends = endsWindow(step.batchInEpoch, step.batchesInEpoch, factor);
      if (ends && samples === 0) return gradients; // a window of one needs no weighting
      const total = samples + step.samples;
      const next = accumulated(sums, gradients, step.samples);
      if (!ends) {
        for (const sum of next.values()) tf.keep(sum);
        replace(next, total);
        return gradients;
      }
      const mean = new Map([...next].map(([name, sum]) => [name, tf.div(sum, total)] as const));
      replace(new Map(), 0);
      return mean;
    });
    hooks.shouldStep.tap(({ batchInEpoch, batchesInEpoch }) => endsWindow(batchInEpoch, batchesInEpoch, factor));
    return {
      save: () => ({ values: { samples }, tensors: sums }),
      load: ({ values, tensors }) => replace(tensors ?? new Map(), (values as { samples: number }).samples),
      dispose: () => replace(new Map(), 0),
    };
  },
});

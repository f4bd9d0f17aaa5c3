/** Exponential moving average of the weights (Polyak and Juditsky 1992; Tarvainen and Valpola 2017). */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin } from "../../core/index.js";

const options = z.strictObject({
  decay: z.number().min(0).max(1).default(0.999).describe("decay of the average at each optimizer step"),
  warmUp: z.boolean().default(true).describe("start with a smaller decay, which forgets the initial weights sooner"),
});

type Averages = ReadonlyMap<string, tf.Tensor>;

/** The decay of update `count` (from 1): at most (1 + n) / (10 + n) after n updates, TensorFlow's rule. */
export function decayAt(decay: number, count: number, warmUp: boolean): number {
  return warmUp ? Math.min(decay, count / (9 + count)) : decay;
}

/** decay · average + (1 - decay) · weights, by name; running statistics are averaged too. */
export function averaged(averages: Averages, weights: Averages, decay: number): Averages {
  return new Map(
    [...averages].map(([name, average]) => {
      const next = tf.tidy(() => tf.add(tf.mul(average, decay), tf.mul(weights.get(name)!, 1 - decay)));
      return [name, tf.keep(next)];
    }),
  );
}

export const ema = definePlugin({
  name: "ema",
  summary: "Evaluates an exponential moving average of the weights",
  options,
  apply({ decay, warmUp }, { hooks }) {
    let averages: Averages = new Map();
    let count = 0;
    const replace = (next: Averages): void => {
      for (const average of averages.values()) average.dispose();
      averages = next;
    };

    // Late: the average starts with the weights that finetune loaded. A resumed run has its averages already.
    hooks.onFitStart.tap({ stage: "late" }, ({ weights }) => {
      if (averages.size > 0) return;
      replace(new Map([...weights()].map(([name, value]) => [name, tf.keep(value.clone())])));
    });
    hooks.onStep.tap(({ weights }) => replace(averaged(averages, weights, decayAt(decay, ++count, warmUp))));
    // Early: plugins that judge or store the evaluated weights, such as early stopping, see the average.
    hooks.beforeEvaluate.tap({ stage: "early" }, (evaluation) =>
      averages.size === 0 ? evaluation : { ...evaluation, weights: averages, source: "averaged" },
    );
    return {
      save: () => ({ values: { count }, tensors: averages }),
      load({ values, tensors }) {
        count = (values as { count: number }).count;
        replace(tensors ?? new Map());
      },
      dispose: () => replace(new Map()),
    };
  },
});

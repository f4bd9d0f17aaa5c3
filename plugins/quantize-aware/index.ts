/** Quantization-aware training (Jacob et al. 2018): the network trains with the rounding that int8 brings. */
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import {
  type Buffer,
  definePlugin,
  graph,
  type Layer,
  needsEpochs,
  needsTensorFlow,
  type Remark,
} from "../../core/index.js";
import { quantizedForward, rangedValues, structureOf } from "./forward.js";

const options = z.strictObject({
  from: z.int().min(0).default(0).describe("first epoch (from 0) that trains with rounding"),
  freeze: z
    .int()
    .min(0)
    .default(1)
    .describe("last epochs in which norms use their running statistics and ranges stay as they are"),
});

export const quantizeAware = definePlugin({
  name: "quantize-aware",
  summary: "Trains with the rounding of int8, for an export that loses less",
  options,
  check({ from, freeze }, { epochs, backend, plugins }) {
    const remarks: Remark[] = needsTensorFlow("quantize-aware", { backend });
    if (from > 0 && plugins.some(({ name }) => name === "early-stopping")) {
      const text =
        `Plugins "quantize-aware" and "early-stopping": the best epoch may be one of the first ${from}, which have no ranges. ` +
        'Remove "early-stopping", or set "from" to 0.';
      remarks.push({ level: "error", text });
    }
    if (epochs === undefined) return [...remarks, needsEpochs("quantize-aware")];
    if (from + freeze < epochs) return remarks;
    const text =
      `Plugin "quantize-aware" finds ranges after epoch ${from} and before the last ${freeze}, and the run has ${epochs}. ` +
      'Set a smaller "from" or "freeze", or train longer.';
    return [...remarks, { level: "error", text }];
  },
  apply({ from, freeze }, { hooks, config }) {
    let epoch = -1; // before the first batch: `plan` sees the plain network
    let current: (() => ReadonlyMap<string, tf.Tensor>) | undefined;
    let names: readonly string[] = []; // of the ranges
    // Last: what other plugins make of the network is in its graph.
    hooks.buildNetwork.tap({ stage: "last" }, (network, { inputSize }): Layer => {
      const structure = structureOf(graph.structureOf(network, inputSize));
      const range: Buffer = { shape: [2], initial: 0 };
      const ranges = Object.fromEntries(rangedValues(structure).map((value) => [graph.rangeName(value), range]));
      names = Object.keys(ranges);
      return {
        ...network,
        buffers: { ...network.buffers, ...ranges },
        forward(x, pass) {
          if (!pass.training || epoch < from) return network.forward(x, pass);
          return quantizedForward(structure, x, pass, epoch >= config.epochs! - freeze);
        },
      };
    });
    hooks.onFitStart.tap(({ weights }) => {
      current = weights;
    });
    // The epoch changes before a step is recorded anew, and at no other time.
    hooks.beforeBatch.tap((batch, step) => {
      epoch = step.epoch;
      return batch;
    });
    // Late: an average would hold something of the zeros that ranges begin with.
    hooks.beforeEvaluate.tap({ stage: "late" }, (evaluation) => {
      const weights = current?.();
      if (!weights) return evaluation; // outside of a fit
      return {
        ...evaluation,
        weights: new Map([...evaluation.weights, ...names.map((name) => [name, weights.get(name)!] as const)]),
      };
    });
  },
});

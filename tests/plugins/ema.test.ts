import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type FitContext, loadBackend, type Plugin } from "../../core/index.js";
import { fitWeights, type Mounted, microConfig, mountPlugin, progressAt, stepAt } from "../../core/testing/index.js";
import { decayAt, ema } from "../../plugins/ema/index.js";
import { earlyStopping, gradientAccumulation } from "../../plugins/index.js";

beforeAll(async () => void (await loadBackend()));

const golden = JSON.parse(readFileSync(new URL("../golden/torch/ema.json", import.meta.url), "utf8")) as {
  start: number[];
  weights: number[][];
  cases: { decay: number; after: number[][] }[];
};

const named = (values: number[]): Map<string, tf.Tensor> => new Map([["w", tf.tensor1d(values)]]);
const begin = (mounted: Mounted, start: number[]): Promise<void> =>
  Promise.resolve(mounted.call.onFitStart({ weights: () => named(start) } as unknown as FitContext));
function current({ call }: Mounted): number[] {
  const evaluation = {
    purpose: "validation",
    weights: named([0, 0, 0, 0]),
    source: "current",
    views: [{} as never],
  } as const;
  const { weights, source } = call.beforeEvaluate(evaluation, progressAt());
  expect(source).toBe("averaged");
  return [...weights.get("w")!.dataSync()];
}

describe("ema", () => {
  it.each(golden.cases)("averages as PyTorch and timm do: decay $decay", async ({ decay, after }) => {
    const mounted = mountPlugin(ema({ decay, warmUp: false }));
    await begin(mounted, golden.start);
    golden.weights.forEach((weights, step) => {
      tf.tidy(() => mounted.call.onStep(stepAt({ weights: named(weights) })));
      current(mounted).forEach((value, at) => expect(value).toBeCloseTo(after[step]![at]!, 5));
    });
    mounted.dispose();
  });

  it("begins with a smaller decay: (1 + n) / (10 + n) after n updates", () => {
    expect(decayAt(0.999, 1, true)).toBeCloseTo(1 / 10, 12);
    expect(decayAt(0.999, 2, true)).toBeCloseTo(2 / 11, 12);
    expect(decayAt(0.999, 91, true)).toBeCloseTo(0.91, 12);
    expect(decayAt(0.999, 100_000, true)).toBe(0.999);
    expect(decayAt(0.999, 1, false)).toBe(0.999);
  });

  it("goes on from what it saved, count and all, to the bit", async () => {
    const whole = mountPlugin(ema());
    await begin(whole, golden.start);
    const resumed = mountPlugin(ema());
    golden.weights.forEach((weights, step) => {
      tf.tidy(() => whole.call.onStep(stepAt({ weights: named(weights) })));
      if (step > 3) tf.tidy(() => resumed.call.onStep(stepAt({ weights: named(weights) })));
      if (step !== 3) return;
      const { values, tensors } = whole.instance.save!();
      resumed.instance.load!({
        values,
        tensors: new Map([...tensors!].map(([name, value]) => [name, value.clone()])),
      });
    });
    await begin(resumed, [9, 9, 9, 9]); // a resumed run starts too, and must not start over
    expect(current(resumed)).toEqual(current(whole));
    [whole, resumed].forEach((each) => each.dispose());
  });

  it("ticks once an optimizer step, not once a micro-batch", async () => {
    let updates = 0;
    const count: Plugin = {
      name: "count",
      options: {},
      apply: ({ hooks }) => hooks.onStep.tap(() => void updates++),
    };
    const { summary } = await fitWeights(
      microConfig({ batchSize: 4, plugins: [gradientAccumulation({ factor: 2 }), ema(), count] }),
    );
    expect(updates).toBe(summary.steps);
    expect(summary.steps).toBe(3 * 2); // 14 images: four micro-batches an epoch
  });

  it("averages running statistics too, and evaluates without touching what trains", async () => {
    const seen = new Map<string, number[]>();
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
          for (const [name, value] of evaluation.weights) seen.set(name, [...value.dataSync()]);
          return evaluation;
        }),
    };
    const averaged = await fitWeights(microConfig({ plugins: [ema({ decay: 0.9 }), watch] }));
    const plain = await fitWeights(microConfig());
    expect(averaged.hash).toBe(plain.hash);
    expect(averaged.summary.test!.source).toBe("averaged");
    expect([...seen.keys()].sort()).toEqual(Object.keys(plain.weights).sort());
    for (const name of ["fc.weight", "block.bn.running_mean", "block.bn.running_var"]) {
      expect(seen.get(name)).not.toEqual(plain.weights[name]);
    }
  });

  it.each(["before", "after"])(
    "gives early stopping the averaged weights to keep, when %s it in the list",
    async (place) => {
      const both = [ema({ decay: 0.9 }), earlyStopping({ patience: 100 })];
      const plugins = place === "before" ? both : both.reverse();
      const { summary } = await fitWeights(microConfig({ epochs: 4, plugins }));
      expect(summary.test!.source).toMatch(/^best of epoch \d, averaged$/);
    },
  );
});

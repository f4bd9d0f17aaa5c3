import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { memorySplit } from "../../core/data/in-memory.js";
import { type FitContext, type Layer, loadBackend, stream } from "../../core/index.js";
import { run } from "../../core/nn/layer.js";
import { batchNorm, conv2d } from "../../core/nn/layers.js";
import { fitWeights, microConfig, mountPlugin } from "../../core/testing/index.js";
import { ema, swa } from "../../plugins/index.js";
import { meanWith, recomputed } from "../../plugins/swa/index.js";
import { goldenJson, relativeDifference } from "../golden/torch/read.js";

beforeAll(async () => void (await loadBackend()));

const golden = goldenJson<{
  weights: number[][];
  images: number[][];
  average: number[];
  mean: number[];
  variance: number[];
}>("swa.json");

const layer: Layer = {
  kind: "golden",
  parts: { conv: conv2d({ in: 3, out: 4, kernel: 1 }), bn: batchNorm(4, { momentum: 0.3 }) },
  forward: (x, pass) => tf.mean(run(layer, "bn", run(layer, "conv", x, pass), pass), [1, 2]),
};

describe("swa", () => {
  it("has PyTorch's average and its update_bn's statistics", async () => {
    const named = (values: readonly number[]): Map<string, tf.Tensor> => new Map([["w", tf.tensor1d([...values])]]);
    let average: ReadonlyMap<string, tf.Tensor> = named(golden.weights[0]!);
    for (const [at, weights] of golden.weights.slice(1).entries()) average = meanWith(average, named(weights), at + 2);
    expect(relativeDifference(average.get("w")!.dataSync(), golden.average)).toBeLessThan(1e-6);

    const pixels = Uint8Array.from(golden.images.flat());
    const count = golden.images.length;
    const train = memorySplit([{ name: "all", pixels, labels: new Uint16Array(count) }], 2, 2);
    const vector = (value: number): tf.Tensor => tf.fill([4], value);
    const weights = new Map<string, tf.Tensor>([
      ["conv.weight", tf.tensor4d(golden.average, [1, 1, 3, 4])],
      ["bn.weight", vector(1)],
      ["bn.bias", vector(0)],
      ["bn.running_mean", vector(7)],
      ["bn.running_var", vector(7)],
    ]);
    const half = [0.5, 0.5, 0.5];
    const context = {
      model: { layer, stages: [["conv", "bn"]], features: "" },
      data: { train, height: 2, width: 2, mean: half, deviation: [0.25, 0.25, 0.25] },
      trainIndices: Int32Array.from({ length: count }, (_, index) => index),
      config: { batchSize: 4, seed: 1 },
      inputSize: 2,
    } as unknown as FitContext;
    const before = tf.memory().numTensors;
    const found = await recomputed(context, weights, stream(1, "swa"));
    expect(tf.memory().numTensors - before).toBe(2);
    expect(relativeDifference(found.get("bn.running_mean")!.dataSync(), golden.mean)).toBeLessThan(2e-6);
    expect(relativeDifference(found.get("bn.running_var")!.dataSync(), golden.variance)).toBeLessThan(2e-6);
    tf.dispose([...weights.values(), ...found.values(), ...average.values()]);
  });

  it("ends with the mean of the last epochs, and trains as without it", async () => {
    const plain = await fitWeights(microConfig({ epochs: 4 }));
    const { summary, hash } = await fitWeights(microConfig({ epochs: 4, plugins: [swa({ start: 0.5 })] }));
    expect(hash).toBe(plain.hash);
    expect(summary.test!.source).toBe("mean of 2 epochs");
    expect(summary.test!.loss).not.toBe(plain.summary.test!.loss);
  });

  it("is refused beside plugins that choose the final weights too", () => {
    expect(() => mountPlugin(swa(), { config: { plugins: [ema()] } })).toThrow(/"swa" and "ema"|"ema" and "swa"/);
  });
});

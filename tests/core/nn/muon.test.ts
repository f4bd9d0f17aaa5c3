/** Muon against timm's and its author's numbers, and which parameters it takes. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { airbench } from "../../../core/models/index.js";
import { isForMuon, muon, orthogonalised } from "../../../core/nn/muon.js";
import { type ParameterInfo, updateRules } from "../../../core/nn/optimizers.js";
import { makePart } from "../../../core/parts.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";
import { goldenJson, relativeDifference } from "../../golden/torch/read.js";
import { plain } from "../../support/golden-networks.js";
import { updateOnce } from "../../support/update-once.js";

type Nested = number[] | Nested[];

const golden = goldenJson<{
  rates: number[];
  parameters: Record<string, { start: Nested; gradients: Nested[] }>;
  cases: { name: string; parameter: string; options: Parameters<typeof muon>[0]; after: Nested }[];
}>("muon.json");

const info = (over: Partial<ParameterInfo>): ParameterInfo => ({
  name: "layer.weight",
  shape: [3, 3, 16, 32],
  layout: "conv",
  stage: 1,
  stages: 3,
  ...over,
});

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(() => loadBackend({ name: backend }));

  it.each(golden.cases.map((each) => [`${each.name}, ${each.parameter}`, each] as const))("%s", (_, each) => {
    const { start, gradients } = golden.parameters[each.parameter]!;
    tf.tidy(() => {
      let value: tf.Tensor = tf.tensor(start);
      const rule = makePart(muon(each.options)).ruleFor!(info({ shape: value.shape }))!;
      let slots: tf.Tensor[] = [tf.zerosLike(value)];
      for (const [step, rate] of golden.rates.entries()) {
        const context = { rate, count: step + 1, decayFactor: 1 };
        [value, slots] = updateOnce(rule, value, tf.tensor(gradients[step]!), slots, context);
      }
      // The iteration amplifies rounding of small singular values; another constant in the fourth digit makes 1e-3.
      expect(relativeDifference(value.dataSync(), each.after.flat(4) as number[])).toBeLessThan(2e-5);
    });
  });

  it("commutes with transposing", () => {
    tf.tidy(() => {
      const matrix = tf.randomNormal<tf.Rank.R2>([12, 7], 0, 1, "float32", 5);
      const turned = tf.transpose(orthogonalised(tf.transpose(matrix), 5));
      expect(relativeDifference(orthogonalised(matrix, 5).dataSync(), [...turned.dataSync()])).toBeLessThan(1e-5);
    });
  });
});

describe("muon", () => {
  beforeAll(async () => void (await loadBackend()));

  it("takes kernels with room for directions, but not the classifier", () => {
    const takes = (over: Partial<ParameterInfo>, exclude: string[] = []): boolean => isForMuon(info(over), exclude);
    expect(takes({})).toBe(true);
    expect(takes({ layout: "linear", shape: [8, 4] })).toBe(true);
    expect(takes({ layout: "linear", shape: [32, 10], stage: 2 })).toBe(false);
    expect(takes({ layout: "vector", shape: [32] })).toBe(false);
    expect(takes({ layout: "depthwise", shape: [3, 3, 16, 1] })).toBe(false);
    expect(takes({ shape: [3, 3, 16, 3] })).toBe(false);
    expect(takes({}, ["layer.weight"])).toBe(false);
  });

  it("moves the six kernels of airbench, as its recipe does, where the frozen first layer is excluded", () => {
    const rules = updateRules(
      makePart(airbench()).build(plain(10)),
      makePart(muon({ others: "sgd", exclude: ["whiten.weight"] })),
    );
    const whole = [...rules].flatMap(([name, { whole: sees }]) => (sees ? [name] : []));
    expect(whole).toEqual([1, 2, 3].flatMap((group) => [1, 2].map((conv) => `group${group}.conv${conv}.weight`)));
  });

  it("moves the others by the other rate", () => {
    const factors = (otherRate: number): number =>
      makePart(muon({ others: "sgd", otherRate })).factors({ rate: 0.2, count: 1, decayFactor: 1 }).rate!;
    expect([factors(1), factors(0.5)]).toEqual([0.2, 0.1]);
  });

  it("trains to the same bits as one graph and operation by operation", async () => {
    const run = (capture: boolean) =>
      fitWeights(microConfig({ epochs: 3, capture, optimizer: muon({ weightDecay: 0.01 }), learningRate: 0.02 }));
    const [graph, eager] = [await run(true), await run(false)];
    expect(graph.hash).toBe(eager.hash);
    const sgd = await fitWeights(microConfig({ epochs: 3, learningRate: 0.02 }));
    expect(graph.hash).not.toBe(sgd.hash);
  });
});

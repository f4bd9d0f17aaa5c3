import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, type Plugin } from "../../core/index.js";
import type { Given } from "../../core/parts.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { maxNorm, renormalised } from "../../plugins/max-norm/index.js";
import { goldenJson, relativeDifference } from "../golden/torch/read.js";

beforeAll(async () => void (await loadBackend()));

interface Case {
  name: string;
  weight: number[];
  maximum: number;
  renormed: number[];
}

describe("renormalised", () => {
  const { cases } = goldenJson<{ cases: Case[] }>("max-norm.json");

  it.each(cases.map((each) => [each.name, each] as const))(
    "is torch.renorm: %s",
    (_, { weight, maximum, renormed }) => {
      tf.tidy(() => {
        const given = tf.tensor(weight as unknown as number[][]); // PyTorch's layout: units first
        const found = renormalised(given, 0, maximum);
        const wanted = tf.tensor(renormed as unknown as number[][]);
        expect(relativeDifference(found.dataSync(), wanted.dataSync())).toBeLessThan(1e-6);
      });
    },
  );

  it("leaves a kernel within the limit as it is, bit for bit", () => {
    tf.tidy(() => {
      const kernel = tf.randomUniform([3, 3, 2, 4], -1, 1, "float32", 1);
      expect([...renormalised(kernel, 3, 100).dataSync()]).toEqual([...kernel.dataSync()]);
    });
  });
});

/** Euclidean norms of the units of a kernel whose last axis counts them. */
const norms = (values: readonly number[], units: number): number[] =>
  Array.from({ length: units }, (_, unit) => Math.hypot(...values.filter((_, index) => index % units === unit)));

it("bounds every unit of every kernel after each step, and no bias", async () => {
  const { weights } = await fitWeights(microConfig({ learningRate: 0.5, plugins: [maxNorm({ maximum: 0.5 })] }));
  for (const [name, units] of [
    ["stem.weight", 16],
    ["block.conv.weight", 16],
    ["fc.weight", 4],
  ] as const) {
    expect(Math.max(...norms(weights[name]!, units)), name).toBeLessThanOrEqual(0.5 * (1 + 1e-6));
  }
  expect(Math.max(...weights["block.bn.weight"]!), "a norm's scale").toBeGreaterThan(0.5);
});

it("leaves frozen parameters alone", async () => {
  const freeze: Plugin = {
    name: "freeze",
    options: {},
    apply: ({ hooks }) =>
      hooks.resolveParamGroups.tap((groups) => groups.map((each) => ({ ...each, trains: each.depth > 0 }))),
  };
  const fit = async (...plugins: Given<Plugin>[]) =>
    (await fitWeights(microConfig({ plugins: [freeze, ...plugins] }))).weights;
  const [without, within] = [await fit(), await fit(maxNorm({ maximum: 0.1 }))];
  expect(within["stem.weight"]).toEqual(without["stem.weight"]);
  expect(within["fc.weight"]).not.toEqual(without["fc.weight"]);
});

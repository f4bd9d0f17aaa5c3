/** l2, gradient-clipping and gradient-accumulation: what they make of gradients. */

import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { adamw, type Gradients, loadBackend, type ParamGroup, sgd } from "../../core/index.js";
import { fitWeights, microConfig, microNet, mountPlugin, stepAt } from "../../core/testing/index.js";
import { endsWindow, gradientAccumulation } from "../../plugins/gradient-accumulation/index.js";
import { clipFactor, gradientClipping } from "../../plugins/gradient-clipping/index.js";
import { l2 } from "../../plugins/l2/index.js";

beforeAll(async () => void (await loadBackend()));

const gradientsOf = (values: Record<string, number[] | number[][]>): Gradients =>
  new Map(Object.entries(values).map(([name, value]) => [name, tf.tensor(value)]));
const numbers = (gradients: Gradients): Record<string, unknown> =>
  Object.fromEntries([...gradients].map(([name, value]) => [name, value.arraySync()]));
const group = (name: string, decays: boolean): ParamGroup => ({
  name,
  depth: 0,
  parameters: [name],
  rateFactor: 1,
  trains: true,
  decays,
});

describe("l2", () => {
  const weights = (): ReadonlyMap<string, tf.Tensor> =>
    new Map([
      ["kernel", tf.tensor1d([2, -4])],
      ["bias", tf.tensor1d([8])],
    ]);
  const groups = [group("kernel", true), group("bias", false)];

  it("adds decay × w (not twice that) to what decays, and nothing to norms and biases", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(l2({ decay: 0.5 }));
      const gradients = gradientsOf({ kernel: [1, 1], bias: [1] });
      const next = call.beforeStep(gradients, stepAt({ groups, weights: weights() }));
      expect(numbers(next)).toEqual({ kernel: [2, -1], bias: [1] });
      expect(numbers(gradients)).toEqual({ kernel: [1, 1], bias: [1] });
    });
  });

  it("comes after clipping, as PyTorch's optimizers decay, wherever it stands in the list", () => {
    tf.tidy(() => {
      const plugins = [l2({ decay: 0.5 }), gradientClipping({ maximum: 1 })];
      for (const [first, second] of [plugins, [...plugins].reverse()]) {
        const { call } = mountPlugin(second!, { config: { plugins: [first!] } });
        const next = call.beforeStep(gradientsOf({ kernel: [30, 40] }), stepAt({ groups, weights: weights() }));
        const [a, b] = next.get("kernel")!.dataSync();
        expect(a).toBeCloseTo(0.6 + 1, 6);
        expect(b).toBeCloseTo(0.8 - 2, 6);
      }
    });
  });

  it("decays a weight without gradient to w (1 - rate × decay) exactly as SGD would", async () => {
    const still = microConfig({ learningRate: 0.1, epochs: 1, maxSteps: 1, optimizer: sgd({ momentum: 0 }) });
    const zero = {
      name: "zero",
      options: {},
      apply: ({ hooks }: Parameters<ReturnType<typeof l2>["apply"]>[0]) => {
        hooks.beforeStep.tap(
          (gradients) => new Map([...gradients].map(([name, value]) => [name, tf.zerosLike(value)])),
        );
      },
    };
    const before = await fitWeights({ ...still, plugins: [zero] });
    const after = await fitWeights({ ...still, plugins: [zero, l2({ decay: 0.5 })] });
    const decaying = ["stem.weight", "block.conv.weight", "fc.weight"];
    for (const [name, values] of Object.entries(before.weights)) {
      const factor = decaying.includes(name) ? 0.95 : 1;
      values.forEach((value, at) => expect(after.weights[name]![at]).toBeCloseTo(value * factor, 6));
    }
  });

  it("refuses an optimizer that decays by itself, and says what to do", () => {
    expect(() => mountPlugin(l2(), { config: { optimizer: adamw() } })).toThrow(
      'Weights would decay twice: plugin "l2" adds 0.0001 to the gradients, and optimizer "adamw" decays by 0.01 on its own. ' +
        'Set weightDecay: 0 in the optimizer, or remove "l2".',
    );
    expect(() => mountPlugin(l2(), { config: { optimizer: adamw({ weightDecay: 0 }) } })).not.toThrow();
    expect(() => mountPlugin(l2({ decay: 0 }), { config: { optimizer: adamw() } })).not.toThrow();
  });
});

describe("gradient-clipping", () => {
  interface Case {
    name: string;
    gradients: Record<string, number[]>;
    limit: number;
    clipped: Record<string, number[]>;
  }
  const { cases } = JSON.parse(readFileSync(new URL("../golden/torch/grad-clip.json", import.meta.url), "utf8")) as {
    cases: Case[];
  };

  it.each(cases)("is clip_grad_norm_: $name", ({ gradients, limit, clipped }) => {
    tf.tidy(() => {
      const { call } = mountPlugin(gradientClipping({ maximum: limit }));
      const next = call.beforeStep(gradientsOf(gradients), stepAt());
      for (const [name, expected] of Object.entries(clipped)) {
        const off = tf.norm(tf.sub(next.get(name)!, tf.tensor(expected))).dataSync()[0]!;
        expect(off).toBeLessThanOrEqual(2e-6 * tf.norm(tf.tensor(expected)).dataSync()[0]!);
      }
    });
  });

  it("lets a norm that is not finite through, for the loop to refuse", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(gradientClipping());
      expect(numbers(call.beforeStep(gradientsOf({ a: [Infinity, 1] }), stepAt()))).toEqual({
        a: [Infinity, 1],
      });
      const factors = [0, 1e-9, 4, NaN, Infinity].map((norm) => clipFactor(tf.scalar(norm), 1).dataSync()[0]!);
      expect(factors).toEqual([1, 1, expect.closeTo(0.25, 6), 1, 1]);
    });
  });
});

describe("gradient-accumulation", () => {
  it("ends a window when it is full and at the end of an epoch: 391 micro-batches are 98 steps, 352 are 88", () => {
    const stepsOf = (batches: number): number[] =>
      Array.from({ length: batches }, (_, at) => at).filter((at) => endsWindow(at, batches, 4));
    expect(stepsOf(391)).toHaveLength(98);
    expect(stepsOf(391).slice(-2)).toEqual([387, 390]);
    expect(stepsOf(352)).toHaveLength(88);
  });

  it("gives the mean weighted by pictures, and starts the next window from nothing", () => {
    tf.tidy(() => {
      const { call, dispose } = mountPlugin(gradientAccumulation({ factor: 3 }));
      const round = (): unknown[] =>
        [
          [1, 8],
          [2, 8],
          [6, 4],
          [5, 2],
        ].map(([value, samples], batchInEpoch) => {
          const step = stepAt({ batchInEpoch, batchesInEpoch: 4, samples });
          const next = call.afterBackward(gradientsOf({ a: [value!] }), step);
          return [call.shouldStep(step), next.get("a")!.dataSync()[0]];
        });
      const expected = [
        [false, 1],
        [false, 2],
        [true, expect.closeTo(2.4, 6)],
        [true, 5],
      ];
      expect(round()).toEqual(expected);
      expect(round()).toEqual(expected);
      dispose();
    });
  });

  it("goes on with a half-filled window after save and load, and frees what it keeps", () => {
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const plugin = gradientAccumulation({ factor: 2 });
      const [first, second] = [mountPlugin(plugin), mountPlugin(plugin)];
      const at = (batchInEpoch: number) => stepAt({ batchInEpoch, batchesInEpoch: 4, samples: 8 });
      first.call.afterBackward(gradientsOf({ a: [1] }), at(0));
      const { values, tensors } = first.instance.save!();
      const copies = new Map([...tensors!].map(([name, value]) => [name, tf.keep(value.clone())]));
      second.instance.load!({ values: JSON.parse(JSON.stringify(values)), tensors: copies });
      first.dispose();
      expect(numbers(second.call.afterBackward(gradientsOf({ a: [4] }), at(1)))).toEqual({ a: [2.5] });
      second.call.afterBackward(gradientsOf({ a: [1] }), at(2));
      second.dispose();
      second.dispose();
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it("equals one batch of all pictures on a model without batch norm, the short tail included", async () => {
    const config = microConfig({
      model: microNet({ norm: false }),
      epochs: 2,
      optimizer: sgd({ momentum: 0.9 }),
    });
    const large = await fitWeights({ ...config, batchSize: 14 });
    // Four micro-batches of 4, 4, 4 and 2 pictures: windows of three and of one, or of all four.
    const small = await fitWeights({
      ...config,
      batchSize: 4,
      plugins: [gradientAccumulation({ factor: 4 })],
    });
    expect(small.summary.steps).toBe(2);
    expect(large.summary.steps).toBe(2);
    for (const [name, values] of Object.entries(large.weights)) {
      values.forEach((value, at) => expect(Math.abs(small.weights[name]![at]! - value), name).toBeLessThan(1e-6));
    }
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { adamw, loadBackend, type ParamGroup, type PluginContext, sgd } from "../../core/index.js";
import { fitWeights, microConfig, mountPlugin, stepAt } from "../../core/testing/index.js";
import { gradientClipping } from "../../plugins/gradient-clipping/index.js";
import { l2 } from "../../plugins/l2/index.js";
import { gradientsOf, numbersIn } from "../support/gradients.js";

beforeAll(async () => void (await loadBackend()));

const group = (name: string, decays: boolean): ParamGroup => ({
  name,
  depth: 0,
  parameters: [name],
  rateFactor: 1,
  trains: true,
  decayFactor: Number(decays),
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
      expect(numbersIn(next)).toEqual({ kernel: [2, -1], bias: [1] });
      expect(numbersIn(gradients)).toEqual({ kernel: [1, 1], bias: [1] });
    });
  });

  it("adds as much of it as the group's factor says", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(l2({ decay: 0.5 }));
      const some = [{ ...group("kernel", true), decayFactor: 0.25 }, group("bias", true)];
      const next = call.beforeStep(
        gradientsOf({ kernel: [1, 1], bias: [1] }),
        stepAt({ groups: some, weights: weights() }),
      );
      expect(numbersIn(next)).toEqual({ kernel: [1.25, 0.5], bias: [5] });
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
      apply: ({ hooks }: PluginContext) => {
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
      'Weights would decay twice: plugin "l2" adds 0.0001 to the gradients, and optimizer "adamw" decays by 0.01 itself. ' +
        'Set weightDecay: 0 in the optimizer, or remove "l2".',
    );
    expect(() => mountPlugin(l2(), { config: { optimizer: adamw({ weightDecay: 0 }) } })).not.toThrow();
    expect(() => mountPlugin(l2({ decay: 0 }), { config: { optimizer: adamw() } })).not.toThrow();
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { forward, loadBackend, type Plugin } from "../../core/index.js";
import { fitWeights, microConfig, mountPlugin } from "../../core/testing/index.js";
import { dropout } from "../../plugins/dropout/index.js";

beforeAll(async () => void (await loadBackend()));

describe("dropout", () => {
  it("zeroes its share of features in training, grows the rest, and is not there in evaluation", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(dropout({ rate: 0.25 }));
      const head = call.buildHead({ kind: "identity", forward: (x) => x }, { features: 4000, classes: 4 });
      const x = tf.ones([2, 4000]);
      expect(forward(head, x, { weights: new Map() })).toBe(x);
      const draws = tf.randomUniform([2, 4000], 0, 1, "float32", 3);
      const y = forward(head, x, { weights: new Map(), training: true, uniform: () => draws }).dataSync();
      const values = [...new Set(y)].sort();
      expect(values[0]).toBe(0);
      expect(values[1]).toBeCloseTo(4 / 3, 6);
      expect(Math.abs(y.filter((value) => value === 0).length / 8000 - 0.25)).toBeLessThan(0.02);
    });
  });

  it("draws another mask at every step and the same one in a second run", async () => {
    const config = microConfig({ plugins: [dropout()] });
    const [first, again] = [await fitWeights(config), await fitWeights(config)];
    expect(again.hash).toBe(first.hash);
    expect((await fitWeights(microConfig())).hash).not.toBe(first.hash);
    const masks: string[] = [];
    const spy: Plugin = {
      name: "spy",
      options: {},
      apply({ hooks }) {
        hooks.buildHead.tap((head) => ({
          ...head,
          forward(x, pass) {
            const y = head.forward(x, pass);
            if (pass.training) masks.push([...y.dataSync()].map((value) => Number(value === 0)).join(""));
            return y;
          },
        }));
      },
    };
    await fitWeights(microConfig({ batchSize: 14, plugins: [dropout(), spy] }));
    expect(masks).toHaveLength(3);
    expect(new Set(masks).size).toBe(3);
  });
});

import * as tf from "@tensorflow/tfjs-core";
import { afterAll, describe, expect, it } from "vitest";
import { loadBackend, type Plugin } from "../../../core/index.js";
import { fitWeights, microConfig, mountPlugin, progressAt, weightsHash } from "../../../core/testing/index.js";

afterAll(async () => void (await loadBackend({ name: "tensorflow" })));

const scaled = (name: string, factor: number, log: string[] = []): Plugin => ({
  name,
  options: {},
  apply({ hooks }) {
    hooks.resolveLearningRate.tap((rate) => rate * factor);
    return { save: () => ({ values: factor }), dispose: () => void log.push(name) };
  },
});

describe("mountPlugin", () => {
  it("gives hooks, taps and the instance, after the plugins of the config, and disposes of all", () => {
    const log: string[] = [];
    const mounted = mountPlugin(scaled("b", 3, log), { config: { plugins: [scaled("a", 2, log)] } });
    expect(mounted.call.resolveLearningRate(1, progressAt())).toBe(6);
    expect(mounted.taps.map(({ plugin, hook }) => `${plugin} ${hook}`)).toEqual([
      "a resolveLearningRate",
      "b resolveLearningRate",
    ]);
    expect(mounted.instance.save!()).toEqual({ values: 3 });
    mounted.dispose();
    expect(log).toEqual(["a", "b"]);
  });

  it("throws what dispose throws", () => {
    const stuck: Plugin = {
      name: "stuck",
      options: {},
      apply: () => ({
        dispose() {
          throw new Error("busy");
        },
      }),
    };
    expect(() => mountPlugin(stuck).dispose()).toThrow('Plugin "stuck" failed in dispose: busy');
  });
});

describe("weightsHash", () => {
  it("is of names, shapes and every bit, and not of the order they come in", async () => {
    await loadBackend();
    tf.tidy(() => {
      const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
      const hash = weightsHash(
        new Map([
          ["a", a],
          ["b", b],
        ]),
      );
      expect(
        weightsHash(
          new Map([
            ["b", b.clone()],
            ["a", a.clone()],
          ]),
        ),
      ).toBe(hash);
      const others = [
        new Map([
          ["a", b],
          ["b", a],
        ]),
        new Map<string, tf.Tensor>([
          ["a", a],
          ["b", b.reshape([2, 1])],
        ]),
        new Map([
          ["a", a],
          ["b", tf.tensor1d([3, 4 + 2 ** -21])],
        ]),
        new Map([
          ["a", a],
          ["b", tf.tensor1d([3, 4])],
          ["c", a],
        ]),
      ];
      expect(new Set([hash, ...others.map(weightsHash)]).size).toBe(5);
    });
  });
});

describe("fitWeights", () => {
  it("trains on wasm as on TensorFlow, to rounding", async () => {
    const native = await fitWeights(microConfig({ backend: "tensorflow" }));
    const wasm = await fitWeights(microConfig({ backend: "wasm" }));
    expect(wasm.summary).toMatchObject({ backend: "wasm", steps: 6 });
    for (const [name, values] of Object.entries(native.weights)) {
      values.forEach((value, at) => expect(Math.abs(wasm.weights[name]![at]! - value), name).toBeLessThan(1e-4));
    }
    expect(wasm.hash).not.toBe(native.hash);
  });
});

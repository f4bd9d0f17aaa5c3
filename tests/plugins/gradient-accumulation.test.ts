import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, sgd } from "../../core/index.js";
import { fitWeights, microConfig, microNet, mountPlugin, stepAt } from "../../core/testing/index.js";
import { endsWindow, gradientAccumulation } from "../../plugins/gradient-accumulation/index.js";
import { gradientsOf, numbersIn } from "../support/gradients.js";

beforeAll(async () => void (await loadBackend()));

describe("gradient-accumulation", () => {
  it("ends a window when it is full and at the end of an epoch: 391 micro-batches are 98 steps, 352 are 88", () => {
    const stepsOf = (batches: number): number[] =>
      Array.from({ length: batches }, (_, at) => at).filter((at) => endsWindow(at, batches, 4));
    expect(stepsOf(391)).toHaveLength(98);
    expect(stepsOf(391).slice(-2)).toEqual([387, 390]);
    expect(stepsOf(352)).toHaveLength(88);
  });

  it("gives the mean weighted by images, and starts the next window from nothing", () => {
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

  it("resumes within a half-filled window after save and load, and frees its tensors", () => {
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
      expect(numbersIn(second.call.afterBackward(gradientsOf({ a: [4] }), at(1)))).toEqual({ a: [2.5] });
      second.call.afterBackward(gradientsOf({ a: [1] }), at(2));
      second.dispose();
      second.dispose();
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it("equals one batch of all images on a model without batch norm, the short tail included", async () => {
    const config = microConfig({
      model: microNet({ norm: false }),
      epochs: 2,
      optimizer: sgd({ momentum: 0.9 }),
    });
    const large = await fitWeights({ ...config, batchSize: 14 });
    // Four micro-batches of 4, 4, 4 and 2 images: windows of three and of one, or of all four.
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

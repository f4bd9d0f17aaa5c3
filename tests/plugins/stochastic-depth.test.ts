import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { forward, type Layer, layers, loadBackend, stream } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { squeezeExcite, stochasticDepth } from "../../plugins/index.js";
import { dropRate } from "../../plugins/stochastic-depth/index.js";

beforeAll(async () => void (await loadBackend()));

const ones = layers.activation("branch", (x) => tf.onesLike(x));
const info = { name: "block", index: 3, count: 4, channels: 2 };

function run(layer: Layer, batch: number, training: boolean, seed = 1): number[][] {
  return tf.tidy(() => {
    const rng = stream(seed, "test");
    const uniform = (_: string, shape: number[]): tf.Tensor =>
      tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, rng.uniform), shape);
    const y = forward(layer, tf.zeros([batch, 3, 3, 2]), { weights: new Map(), training, uniform });
    return tf.reshape(y, [batch, 18]).arraySync() as number[][];
  });
}

describe("stochastic-depth", () => {
  it("rises linearly to its rate at the last block: l / L of it", () => {
    expect([0, 1, 2, 3].map((index) => dropRate(0.2, index, 4))).toEqual([0.05, 0.1, 0.15000000000000002, 0.2]);
    expect(dropRate(0.5, 53, 54)).toBe(0.5);
  });

  it("drops whole images, keeps the mean, and does nothing in evaluation", () => {
    const branch = mountPlugin(stochasticDepth({ rate: 0.25 })).call.buildBlock(ones, info);
    const rows = run(branch, 4000, true);
    expect(rows.every((row) => row.every((value) => value === row[0]))).toBe(true);
    const values = rows.map((row) => row[0]!);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    const kept = values.filter((value) => value > 0).length;
    expect(Math.abs(kept / 4000 - 0.75)).toBeLessThan(0.035); // five standard errors
    expect(run(branch, 3, false)).toEqual(run(ones, 3, false));
    expect(run(branch, 4000, true)).toEqual(rows);
    expect(run(branch, 4000, true, 2)).not.toEqual(rows);
  });

  it("skips what others added to the branch, wherever it stands; is not there at rate 0", () => {
    const { taps } = mountPlugin(squeezeExcite({ reduction: 2 }), {
      config: { plugins: [stochasticDepth()] },
    });
    expect(taps.map(({ plugin }) => plugin)).toEqual(["squeeze-excite", "stochastic-depth"]);
    expect(mountPlugin(stochasticDepth({ rate: 0 })).call.buildBlock(ones, info)).toBe(ones);
  });
});

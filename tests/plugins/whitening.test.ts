import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, makePart, type ParamGroup, type Plugin, Trainer } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import { symmetricEigen } from "../../plugins/whitening/eigen.js";
import { frozen, patchMoments, whitening, whiteningFilters } from "../../plugins/whitening/index.js";

beforeAll(() => loadBackend());

describe("symmetricEigen", () => {
  it("gives orthonormal vectors that the matrix stretches by their values, the largest first", () => {
    const size = 12;
    const root = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => Math.sin(3 * i + 7 * j * j)),
    );
    const matrix = root.map((row) => root.map((other) => row.reduce((sum, x, k) => sum + x * other[k]!, 0)));
    const { values, vectors } = symmetricEigen(matrix);
    expect([...values].sort((a, b) => b - a)).toEqual(values);
    vectors.forEach((vector, place) => {
      matrix.forEach((row, i) => {
        const stretched = row.reduce((sum, x, j) => sum + x * vector[j]!, 0);
        expect(stretched).toBeCloseTo(values[place]! * vector[i]!, 9);
      });
      vectors.forEach((other, second) => {
        const product = vector.reduce((sum, x, i) => sum + x * other[i]!, 0);
        expect(product).toBeCloseTo(Number(place === second), 12);
      });
    });
  });

  it("leaves a diagonal matrix alone", () => {
    expect(
      symmetricEigen([
        [2, 0],
        [0, 3],
      ]),
    ).toEqual({
      values: [3, 2],
      vectors: [
        [0, 1],
        [1, 0],
      ],
    });
  });
});

describe("whiteningFilters", () => {
  const scale = { mean: [0.4, 0.5, 0.6], deviation: [0.2, 0.25, 0.3] } as const;
  /** Smooth images, so that patches are far from white. */
  const images = Array.from({ length: 40 }, (_, n) => ({
    height: 9,
    width: 9,
    pixels: Uint8Array.from({ length: 243 }, (_, i) => 127 + 100 * Math.sin(n + i / 40) + 20 * Math.sin(n * 7 + i * i)),
  }));

  it("turns the patches into numbers of equal variance that do not depend on each other", () => {
    const moments = patchMoments(images, 2, scale);
    expect(moments.patches).toBe(40 * 8 * 8);
    const filters = whiteningFilters(moments, 2, 24, 1e-12);
    const out = tf.tidy(() => {
      const pixels = tf.tensor4d(Float32Array.from(images.flatMap((each) => [...each.pixels])), [40, 9, 9, 3]);
      const normal = tf.div(tf.sub(tf.div(pixels, 255), [...scale.mean]), [...scale.deviation]) as tf.Tensor4D;
      const y = tf.reshape(tf.conv2d(normal, tf.tensor4d(filters, [2, 2, 3, 24]), 1, "valid"), [-1, 24]);
      return tf.div(tf.matMul(y, y, true), moments.patches).arraySync() as number[][];
    });
    for (let i = 0; i < 24; i++) {
      for (let j = 0; j < 24; j++) {
        const wanted = i === j ? 1 : Math.abs(i - j) === 12 ? -1 : 0; // the negatives
        expect(Math.abs(out[i]![j]! - wanted)).toBeLessThan(2e-3);
      }
    }
  });
});

describe("the plugin", () => {
  it("sets the layer from the training images, keeps it frozen, and lets its bias train for a while", () => {
    const group: ParamGroup = {
      name: "whiten",
      depth: 0,
      parameters: ["whiten.weight", "whiten.bias", "other.weight"],
      rateFactor: 1,
      trains: true,
      decayFactor: 1,
    };
    const trained = (bias: boolean): string[] =>
      frozen([group], "whiten", bias).flatMap(({ parameters, trains }) => (trains ? parameters : []));
    expect(trained(true)).toEqual(["whiten.bias", "other.weight"]);
    expect(trained(false)).toEqual(["other.weight"]);
    expect(frozen([group], "elsewhere", true)).toEqual([group]);
  });

  it("gives the filters of the data to the run, and they are the same at its end", async () => {
    const seen: number[][] = [];
    const look: Plugin = {
      name: "look",
      options: {},
      apply({ hooks }) {
        hooks.onFitStart.tap((run) => void seen.push([...run.weights().get("stem.weight")!.dataSync()]));
        hooks.onStep.tap(({ weights }) => void seen.push([...weights.get("stem.weight")!.dataSync()]));
      },
    };
    const { data } = microConfig();
    const { train, ...scale } = await makePart(data).load({});
    const config = microConfig({ holdout: 0, plugins: [whitening({ layer: "stem" }), look] });
    await new Trainer(config).fit();
    const moments = patchMoments(await train.read([...Array(train.length).keys()]), 3, scale);
    const wanted = [...whiteningFilters(moments, 3, 16, 5e-4)];
    expect(seen.length).toBeGreaterThan(3);
    for (const values of seen) expect(values).toEqual(wanted);
  });

  it("refuses a layer that is no first convolution, with what it found", async () => {
    const fit = (layer: string): Promise<unknown> =>
      new Trainer(microConfig({ plugins: [whitening({ layer })] })).fit();
    await expect(fit("whiten")).rejects.toThrow(/the model has no "whiten.weight".*Name it with "layer"/);
    await expect(fit("fc")).rejects.toThrow(/"fc.weight" is \[16,4\]/);
  });
});

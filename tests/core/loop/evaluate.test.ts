import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { memorySplit } from "../../../core/data/in-memory.js";
import { createLoader } from "../../../core/data/loader.js";
import { evaluate, figures, type Layer, loadBackend, type Plugin, plainView } from "../../../core/index.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";

beforeAll(async () => void (await loadBackend()));

/** Rows of probabilities and the true class of each. */
const outputs = (rows: number[][], labels: number[]) => ({
  probabilities: Float32Array.from(rows.flat()),
  labels: Int32Array.from(labels),
});

describe("figures", () => {
  it("are the mean negative logarithm of the true class, and shares of rows", () => {
    const { loss, top1, top5 } = figures(
      outputs(
        [
          [0.5, 0.25, 0.25],
          [0.1, 0.2, 0.7],
        ],
        [0, 1],
      ),
      3,
    );
    expect(loss).toBeCloseTo((Math.log(2) + Math.log(5)) / 2, 6);
    expect([top1, top5]).toEqual([0.5, 1]);
  });

  it("count the five largest", () => {
    const row = [0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05];
    const at = (label: number): number[] => [figures(outputs([row], [label]), 7)].map(({ top5 }) => top5);
    expect([at(4), at(5)].flat()).toEqual([1, 0]);
  });

  it("take a tie for a mistake: a network that says nothing scores nothing", () => {
    expect(figures(outputs([[0.25, 0.25, 0.25, 0.25]], [0]), 4).top1).toBe(0);
  });

  it("take a row that is no number for a mistake, and the loss for no number", () => {
    const { loss, top1, top5 } = figures(
      outputs(
        [
          [NaN, NaN],
          [0.9, 0.1],
        ],
        [0, 0],
      ),
      2,
    );
    expect([loss, top1, top5]).toEqual([NaN, 0.5, 0.5]);
  });

  it("stay finite where the true class has probability 0", () => {
    expect(figures(outputs([[0, 1]], [0]), 2).loss).toBeCloseTo(-Math.log(1e-38), 0);
  });
});

describe("evaluate", () => {
  /** Logits are the means of red and green, times 10. */
  const layer: Layer = {
    kind: "means",
    forward: (x) => tf.mul(tf.slice(tf.mean(x, [1, 2]), [0, 0], [-1, 2]), 10),
  };
  const model = { layer, stages: [], features: "" };
  const split = memorySplit(
    [
      {
        name: "two",
        pixels: Uint8Array.from([255, 0, 0, 0, 255, 0, 255, 0, 0]),
        labels: Uint16Array.from([0, 1, 1]),
      },
    ],
    1,
    1,
  );
  const sizes = { height: 1, width: 1, mean: [0, 0, 0], deviation: [1, 1, 1] } as const;
  const loader = createLoader({ split, ...sizes, batchSize: 2, seed: 1, shuffle: false });
  const swapped = { name: "swapped", apply: (x: tf.Tensor4D) => tf.reverse(x, [3]) };
  const run = (views: (typeof plainView)[], cancelled?: () => boolean) =>
    evaluate({
      model,
      classes: 2,
      ...sizes,
      inputSize: 1,
      loader,
      cancelled,
      evaluation: { purpose: "final", weights: new Map(), source: "current", views },
    });

  it("sees every image once, the short batch too, in the split's order, and leaves no tensor", async () => {
    const before = tf.memory().numTensors;
    const metrics = await run([plainView]);
    expect(metrics).toMatchObject({ count: 3, source: "current" });
    expect(metrics!.top1).toBeCloseTo(2 / 3, 9);
    expect([...metrics!.outputs!.labels]).toEqual([0, 1, 1]);
    expect(metrics!.outputs!.probabilities).toHaveLength(6);
    expect(metrics).not.toHaveProperty("singleView");
    expect(tf.memory().numTensors).toBe(before);
  });

  it("averages probabilities over views, and gives the first view's own figures beside", async () => {
    const [alone, both] = [await run([plainView]), await run([plainView, swapped])];
    const { loss, top1, top5 } = alone!;
    expect(both!.singleView).toEqual({ loss, top1, top5 });
    // Blue is 0: swapped, red and blue change places, so a red image looks black and is a coin's toss.
    expect(both!.outputs!.probabilities[0]).toBeCloseTo((alone!.outputs!.probabilities[0]! + 0.5) / 2, 6);
  });

  it("gives nothing when it is cancelled on the way", async () => {
    let asked = 0;
    expect(await run([plainView], () => ++asked > 1)).toBeUndefined();
    expect(asked).toBe(2);
  });

  it("is of the weights that beforeEvaluate chose", async () => {
    const blank: Plugin = {
      name: "blank",
      options: {},
      apply({ hooks }) {
        const kept = new Map<string, tf.Tensor>();
        hooks.beforeEvaluate.tap((evaluation) => {
          for (const [name, value] of evaluation.weights) {
            if (!kept.has(name)) kept.set(name, tf.keep(tf.zerosLike(value)));
          }
          return { ...evaluation, weights: kept, source: "nothing" };
        });
        return { dispose: () => tf.dispose([...kept.values()]) };
      },
    };
    const { summary } = await fitWeights(microConfig({ plugins: [blank] }));
    expect(summary.test).toMatchObject({ source: "nothing", top1: 0 });
    expect(summary.test!.loss).toBeCloseTo(Math.log(4), 6); // zero logits
    expect(summary.validation?.source).toBe("nothing");
  });
});

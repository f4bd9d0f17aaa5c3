import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { loadBackend } from "../../core/backend/index.js";
import type { FitContext } from "../../core/loop/types.js";
import { interpret } from "../../core/trace/interpret.js";
import { quantizeGraph } from "../../export/int8.js";
import {
  calibrate,
  innerRange,
  layerErrors,
  quantizedRange,
  quantizedValues,
  quantizeWeights,
  simulator,
} from "../../export/quantize.js";
import type { RunFiles } from "../../run/open.js";
import { type Preprocessing, weightsFile } from "../../run/preprocessing.js";
import { everyOperation, pixels } from "../support/every-operation.js";

beforeAll(() => loadBackend());

const ends = fc.float({ min: Math.fround(-1e6), max: Math.fround(1e6), noNaN: true });

describe("quantizedRange", () => {
  it("holds every number of the range within half a step, and zero exactly", () => {
    fc.assert(
      fc.property(ends, ends, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, share) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const { scale, zero } = quantizedRange([low, high]);
        expect(Number.isInteger(zero) && zero >= -128 && zero <= 127).toBe(true);
        const value = low + share * (high - low);
        const q = Math.max(-128, Math.min(127, Math.round(value / scale) + zero));
        expect(Math.abs(scale * (q - zero) - value)).toBeLessThanOrEqual(scale * 1.001);
      }),
    );
    expect(quantizedRange([0, 255])).toEqual({ scale: 1, zero: -128 });
    expect(quantizedRange([2, 6]).zero).toBe(-128); // zero is in every range
  });
});

describe("quantizeWeights", () => {
  it("keeps each weight within half a step of its channel, symmetric, and each bias within half of its own", () => {
    const numbers = fc.array(
      fc.integer({ min: -3000, max: 3000 }).map((each) => each / 1000),
      { minLength: 12, maxLength: 12 },
    );
    fc.assert(
      fc.property(numbers, fc.double({ min: 1e-4, max: 10, noNaN: true }), (values, inputScale) => {
        const weight = { shape: [3, 4], data: Float32Array.from(values) };
        const bias = Float64Array.of(0.5, -2, 0, 1);
        const { scales, bias: whole, ...stored } = quantizeWeights(weight, bias, inputScale);
        const data = stored.data();
        weight.data.forEach((each, at) => {
          expect(Math.abs(data[at]!)).toBeLessThanOrEqual(127);
          expect(Math.abs(data[at]! * scales[at % 4]! - each)).toBeLessThanOrEqual(scales[at % 4]! * 0.5001);
        });
        bias.forEach((each, channel) => {
          const step = inputScale * scales[channel]!;
          expect(Math.abs(whole[channel]! * step - each)).toBeLessThanOrEqual(step * 0.5001);
        });
      }),
    );
  });

  it("grows the scale of a dead channel, whose bias would leave int32", () => {
    const { scales, bias } = quantizeWeights(
      { shape: [1, 2], data: Float32Array.of(0, 1e-12) },
      Float64Array.of(1, 5),
      1e-3,
    );
    expect([...scales].every((scale) => scale > 0)).toBe(true);
    expect(Math.max(...bias.map(Math.abs))).toBeLessThanOrEqual(2 ** 30);
  });
});

it("innerRange cuts off what lies outside a share, evenly", () => {
  const counts = new Float64Array(100).fill(1);
  expect(innerRange(counts, [0, 100], 1)).toEqual([0, 100]);
  expect(innerRange(counts, [0, 100], 0.875)).toEqual([6, 94]);
  counts[0] = 1000;
  expect(innerRange(counts, [0, 100], 0.9)[0]).toBe(0);
});

describe("a calibrated graph", () => {
  const batches = function* (): Generator<tf.Tensor> {
    for (let batch = 0; batch < 3; batch++) yield tf.tensor4d(pixels(4), [4, 12, 12, 3]);
  };

  it("has the extremes of its values as ranges, and a share of them where one is asked for", () => {
    const before = tf.memory().numTensors;
    const all = calibrate(everyOperation, batches);
    const most = calibrate(everyOperation, batches, { share: 0.9 });
    expect(tf.memory().numTensors).toBe(before);
    expect(all.get("image")).toEqual([0, 255]);
    const [low, high] = tf.tidy(() => {
      const y = interpret(everyOperation, tf.tensor4d(pixels(4), [4, 12, 12, 3]));
      return [tf.min(y).dataSync()[0]!, tf.max(y).dataSync()[0]!];
    }) as unknown as [number, number];
    expect(all.get("logits")).toEqual([low, high]);
    for (const [value, [from, to]] of most) {
      expect(from).toBeGreaterThanOrEqual(all.get(value)![0]);
      expect(to).toBeLessThanOrEqual(all.get(value)![1]);
    }
    expect(most.get("wide")![1]).toBeLessThan(all.get("wide")![1]);
  });

  it("shares parameters through a max pool, fixes those of a sigmoid, and answers much as before", () => {
    const values = quantizedValues(everyOperation, calibrate(everyOperation, batches));
    expect(values.get("pool")).toEqual(values.get("stem"));
    expect(values.get("gate")).toEqual({ scale: 1 / 256, zero: -128 });
    const [apart, largest] = tf.tidy(() => {
      const x = tf.tensor4d(pixels(4), [4, 12, 12, 3]);
      const plain = interpret(everyOperation, x);
      const rounded = simulator(everyOperation, values)(x);
      return [tf.max(tf.abs(tf.sub(rounded, plain))).dataSync()[0]!, tf.max(tf.abs(plain)).dataSync()[0]!];
    }) as unknown as [number, number];
    expect(apart).toBeGreaterThan(0);
    expect(apart / largest).toBeLessThan(0.1);
  });

  it("gives a value that is always zero steps that XNNPACK takes", () => {
    const ranges = calibrate(everyOperation, batches);
    for (const dead of ["wide", "gate.conv", "norm", "features"]) ranges.set(dead, [0, 0]);
    ranges.set("logits", [0, 1e-9]);
    const values = quantizedValues(everyOperation, ranges);
    const ratios = everyOperation.nodes.flatMap((node) => {
      if (!("weight" in node)) return [];
      const { scales } = quantizeWeights(node.weight, node.bias, values.get(node.x)!.scale);
      return [...scales].map((scale) => (scale * values.get(node.x)!.scale) / values.get(node.out)!.scale);
    });
    expect(Math.max(...ratios)).toBeLessThan(256);
    expect(Math.max(...ratios)).toBeGreaterThan(240); // no larger steps than must be
  });

  it("is the float32 graph where all layers are kept, and nearer to it where some are", () => {
    const values = quantizedValues(everyOperation, calibrate(everyOperation, batches));
    const apart = (kept: readonly string[]): number =>
      tf.tidy(() => {
        const x = tf.tensor4d(pixels(4), [4, 12, 12, 3]);
        const found = simulator(everyOperation, values, new Set(kept))(x);
        return tf.max(tf.abs(tf.sub(found, interpret(everyOperation, x)))).dataSync()[0]!;
      }) as unknown as number;
    const all = everyOperation.nodes.map(({ out }) => out);
    expect(apart(all)).toBe(0);
    expect(apart(all.slice(1))).toBeLessThan(apart([]));
  });

  it("says which layer int8 changes most, and frees what it made", () => {
    const values = quantizedValues(everyOperation, calibrate(everyOperation, batches));
    const before = tf.memory().numTensors;
    const plain = layerErrors(everyOperation, values, batches());
    const coarse = layerErrors(everyOperation, new Map(values).set("depth", { scale: 4, zero: -128 }), batches());
    expect(tf.memory().numTensors).toBe(before);
    expect(plain.map(({ layer }) => layer).sort()).toEqual(
      ["image", ...everyOperation.nodes.map(({ out }) => out)].sort(),
    );
    expect(plain.find(({ layer }) => layer === "image")!.error).toBe(0);
    expect(Math.max(...plain.map(({ error }) => error))).toBeLessThan(0.1);
    expect(coarse[0]).toMatchObject({ layer: "depth" });
    expect(coarse[0]!.error).toBeGreaterThan(0.3);
    // Given float32 values before it, no other layer changes for the one that is coarse.
    expect(coarse.find(({ layer }) => layer === "logits")).toEqual(plain.find(({ layer }) => layer === "logits"));
  });
});

it("a run without validation images is refused before any image is read", async () => {
  const read = vi.fn();
  const data = { classes: ["a", "b"], height: 12, width: 12, mean: [0, 0, 0], deviation: [1, 1, 1], train: { read } };
  const model = { layer: { kind: "none", forward: (x: tf.Tensor) => x } };
  const prepared = {
    data,
    trainIndices: Int32Array.of(0, 1),
    validationIndices: new Int32Array(),
  };
  const weights = weightsFile({ model, data, inputSize: 12 } as unknown as FitContext, new Map());
  const run = { record: {}, trainer: { prepare: async () => prepared }, weights } as unknown as RunFiles;
  const network = { preprocessing: {} as Preprocessing, weights: new Map() };
  await expect(quantizeGraph(everyOperation, run, network, {})).rejects.toMatchObject({
    code: "ERR_DATA",
    message: expect.stringContaining("this run has none") as string,
  });
  expect(read).not.toHaveBeenCalled();
});

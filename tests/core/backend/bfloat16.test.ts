/** bfloat16 under tf.js: what is kept in it, what is given float32, and that both are right. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { isBfloat16 } from "../../../core/backend/bfloat16.js";
import { layers, loadBackend, ops } from "../../../core/index.js";
import { forward, initialWeights, inPrecision } from "../../../core/nn/layer.js";
import { apart, mustResembleFloat32, normal, shallow } from "../../support/bfloat16-networks.js";

beforeAll(async () => void (await loadBackend({ name: "tensorflow" })));

/** A tensor in bfloat16 of whole numbers up to 128, which it holds without rounding. */
const half = (x: tf.Tensor): tf.Tensor => {
  const identity = tf.eye(x.shape.at(-1)!).reshape([1, 1, x.shape.at(-1)!, x.shape.at(-1)!]);
  return ops.conv2d(x, identity, { precision: "bfloat16" });
};
const whole = (shape: number[], seed: number): tf.Tensor => tf.round(tf.mul(normal(shape, seed), 8));
describe("an operation", () => {
  // Of whole numbers that bfloat16 holds, each result but a rounded one is the very number.
  it.each<[string, boolean, number, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor]>([
    ["add", true, 2 ** -8, (x, y) => tf.add(x, y)],
    ["the residual add", true, 2 ** -8, (x, y) => ops.add(x, y)],
    ["multiply", true, 2 ** -8, (x, y) => tf.mul(x, y)],
    ["relu", true, 0, (x) => ops.relu(x)],
    ["max pool", true, 0, (x) => ops.maxPool(x, 3, 2, 1)],
    [
      "pad",
      true,
      0,
      (x) =>
        tf.pad4d(x as tf.Tensor4D, [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ]),
    ],
    ["reshape", true, 0, (x) => tf.reshape(x, [-1, 8])],
    ["transpose", true, 0, (x) => tf.transpose(x, [0, 3, 1, 2])],
    ["slice", true, 0, (x) => tf.slice(x, [0, 1, 1, 0], [2, 2, 2, 8])],
    ["concat", true, 0, (x, y) => tf.concat([x, y], 3)],
    ["gather", true, 0, (x) => tf.gather(x, tf.tensor1d([1, 0], "int32"))],
    ["subtract", true, 2 ** -8, (x, y) => tf.sub(x, y)],
    ["mean", false, 1e-6, (x) => tf.mean(x, [1, 2])],
    ["sum", false, 0, (x) => tf.sum(x)],
    ["exp", false, 1e-6, (x) => tf.exp(tf.mul(x, 0.125))],
    ["matrix product", false, 0, (x) => tf.matMul(tf.reshape(x, [-1, 8]), tf.eye(8))],
    ["comparison", false, 0, (x, y) => tf.cast(tf.greater(x, y), "float32")],
    ["cast", false, 0, (x) => tf.cast(tf.cast(x, "int32"), "float32")],
    ["resize", false, 1e-6, (x) => ops.resize(x, 8, 8)],
    ["sum of squares", false, 1e-6, (x) => ops.squaredNorm([x])],
  ])("%s is right", (_, kept, tolerance, operation) => {
    tf.tidy(() => {
      const [x, y] = [whole([2, 4, 4, 8], 1), whole([2, 4, 4, 8], 2)];
      const found = operation(half(x), y);
      expect(found.dtype).toBe("float32");
      expect(isBfloat16(found)).toBe(kept);
      expect(apart(found, operation(x, y))).toBeLessThanOrEqual(tolerance);
    });
  });

  it("of float32 alone stays as it was", () => {
    tf.tidy(() => {
      expect(isBfloat16(tf.add(normal([4], 1), normal([4], 2)))).toBe(false);
    });
  });
});

describe("a convolution", () => {
  it.each([
    [3, 1, 16, 8, 16], // small maps: the filter's gradient is a product
    [3, 2, 16, 9, 16],
    [3, 1, 32, 16, 8], // oneDNN's
    [3, 2, 32, 33, 8],
    [1, 2, 8, 16, 16],
    [1, 2, 5, 8, 16], // uncertain in oneDNN
    [1, 1, 8, 16, 16],
    [7, 2, 3, 32, 8],
  ])(
    "of %i x %i, stride %i, and its gradients are float32's but for rounding",
    (kernel, stride, channels, size, out) => {
      tf.tidy(() => {
        const padding = (kernel - 1) / 2;
        const [x, w] = [normal([4, size, size, channels], 1), normal([kernel, kernel, channels, out], 2)];
        const of = (precision: "float32" | "bfloat16") => (a: tf.Tensor, b: tf.Tensor) =>
          ops.conv2d(a, b, { stride, padding, precision });
        const dy = normal(of("float32")(x, w).shape, 3);
        expect(isBfloat16(of("bfloat16")(x, w))).toBe(true);
        expect(apart(of("bfloat16")(x, w), of("float32")(x, w))).toBeLessThan(4e-3);
        const [mine, plain] = (["bfloat16", "float32"] as const).map((precision) =>
          tf.grads(of(precision))([x, w], dy),
        );
        for (const place of [0, 1]) {
          expect(isBfloat16(mine![place]!), "gradients of parameters and images are float32").toBe(false);
          expect(apart(mine![place]!, plain![place]!)).toBeLessThan(4e-3);
        }
      });
    },
  );

  // In float32 too: the product stands in for what oneDNN does now and then wrong.
  it("of any shape has the gradients that tf.js' own definition has", () => {
    tf.tidy(() => {
      for (const kernel of [1, 3, 5])
        for (const [stride, size, channels] of [
          [1, 8, 5],
          [2, 8, 5],
          [2, 9, 16],
          [3, 10, 4],
        ] as const) {
          const padding = (kernel - 1) / 2;
          const [x, w] = [normal([2, size, size, channels], 1), normal([kernel, kernel, channels, 6], 2)];
          const mine = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => ops.conv2d(a, b, { stride, padding });
          const plain = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => {
            const padded = tf.pad4d(a as tf.Tensor4D, [
              [0, 0],
              [padding, padding],
              [padding, padding],
              [0, 0],
            ]);
            return tf.conv2d(padded, b as tf.Tensor4D, stride, "valid");
          };
          const dy = normal(mine(x, w).shape, 3);
          const [ours, theirs] = [tf.grads(mine)([x, w], dy), tf.grads(plain)([x, w], dy)];
          for (const place of [0, 1])
            expect(apart(ours[place]!, theirs[place]!), `${kernel} ${stride} ${size}`).toBeLessThan(1e-5);
        }
    });
  });
});

describe("a network", () => {
  it.each(shallow)("%s has float32 logits and gradients near those of float32", mustResembleFloat32);

  it("reads activations back as numbers, and leaves nothing behind", () => {
    const layer = inPrecision(
      layers.sequential([layers.conv2d({ in: 3, out: 8, kernel: 3 }), layers.batchNorm(8)]),
      "bfloat16",
    );
    const weights = initialWeights(layer, 1);
    const { binding } = tf.backend() as unknown as { binding: { getNumOfTensors(): number } };
    const look = (): number[] =>
      tf.tidy(() => [...forward(layer, normal([1, 4, 4, 3], 1), { weights, training: true }).dataSync()]);
    const first = look();
    const before = [tf.memory().numTensors, binding.getNumOfTensors()];
    expect(look()).toEqual(first);
    expect(first.every((value) => Number.isFinite(value) && Math.fround(value) === value)).toBe(true);
    expect([tf.memory().numTensors, binding.getNumOfTensors()]).toEqual(before);
    for (const value of weights.values()) value.dispose();
  });
});

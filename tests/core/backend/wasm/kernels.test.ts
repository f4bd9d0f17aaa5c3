import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";

import { loadBackend } from "../../../../core/backend/index.js";
import { stream } from "../../../../core/rng.js";

const cases = [1, 3, 5, 7].flatMap((k) =>
  [1, 2].flatMap((stride) => (["same", "valid"] as const).map((pad) => ({ k, stride, pad }))),
);

/** Reproducible normal numbers, the same for both backends. */
function numbers(name: string, shape: number[]): tf.Tensor {
  const draws = stream(7, name);
  return tf.tensor(
    Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => draws.normal()),
    shape,
  );
}

/** Runs on the cpu backend, then on wasm; both results as plain arrays. */
async function onBoth(compute: () => tf.Tensor[]): Promise<[Float32Array[], Float32Array[]]> {
  const results: Float32Array[][] = [];
  for (const name of ["cpu", "wasm"]) {
    await tf.setBackend(name);
    results.push(tf.tidy(() => compute().map((tensor) => tensor.dataSync() as Float32Array)));
  }
  return results as [Float32Array[], Float32Array[]];
}

async function expectSame(compute: () => tf.Tensor[], tolerance = 1e-5): Promise<void> {
  const [expected, actual] = await onBoth(compute);
  expect(actual.length).toBe(expected.length);
  for (const [i, values] of expected.entries()) {
    expect(actual[i]!.length).toBe(values.length);
    const largest = Math.max(1, ...values.map(Math.abs));
    for (const [j, value] of values.entries()) {
      const difference = Math.abs(value - actual[i]![j]!) / largest;
      if (!(difference <= tolerance)) expect.fail(`result ${i}, element ${j}: ${actual[i]![j]} for ${value}`);
    }
  }
}

/** The value of f and its gradient for each input, for a fixed random gradient of the value. */
function withGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[]): tf.Tensor[] {
  const value = f(...inputs);
  const dy = numbers("dy", value.shape);
  return [value, ...tf.grads((...args: tf.Tensor[]) => f(...args))(inputs, dy)];
}

beforeAll(async () => {
  await loadBackend({ name: "wasm" });
});

describe("convolution and its gradients agree with the cpu backend", () => {
  it.each(cases)("k $k, stride $stride, $pad", async ({ k, stride, pad }) => {
    // Height even, width odd: "same" pads them differently, "valid" leaves rows unread.
    await expectSame(() =>
      withGradients(
        (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, stride, pad),
        [numbers("x", [2, 10, 9, 3]), numbers("w", [k, k, 3, 4])],
      ),
    );
  });

  it("of unequal strides, padding and sides", async () => {
    await expectSame(() =>
      withGradients(
        (x, w) =>
          tf.conv2d(
            x as tf.Tensor4D,
            w as tf.Tensor4D,
            [2, 3],
            [
              [0, 0],
              [1, 2],
              [0, 1],
              [0, 0],
            ],
          ),
        [numbers("x", [3, 11, 8, 2]), numbers("w", [3, 4, 2, 5])],
      ),
    );
  });

  it("refuses what it has no gradient for", async () => {
    await tf.setBackend("wasm");
    const gradient = () =>
      withGradients(
        (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, "same", "NHWC", 2),
        [numbers("x", [1, 8, 8, 1]), numbers("w", [3, 3, 1, 1])],
      );
    expect(() => tf.tidy(gradient)).toThrow(/dilation/);
  });
});

describe("depthwise convolution and its gradients agree with the cpu backend", () => {
  it.each(cases)("k $k, stride $stride, $pad", async ({ k, stride, pad }) => {
    for (const multiplier of [1, 2]) {
      await expectSame(() =>
        withGradients(
          (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, stride, pad),
          [numbers("x", [2, 10, 9, 3]), numbers("w", [k, k, 3, multiplier])],
        ),
      );
    }
  });
});

describe("other operations of a training step and their gradients agree with the cpu backend", () => {
  const x4 = () => numbers("x", [2, 6, 7, 3]);
  const operations: Record<string, () => tf.Tensor[]> = {
    "gather, with repeated and missing rows": () =>
      withGradients((x) => tf.gather(x, tf.tensor1d([3, 0, 3, 2], "int32")), [numbers("x", [5, 4])]),
    "gather along the second axis": () =>
      withGradients((x) => tf.gather(x, tf.tensor1d([1, 1], "int32"), 1), [numbers("x", [5, 4, 2])]),
    "unsorted segment sum, a segment empty": () => [
      tf.unsortedSegmentSum(numbers("x", [4, 2, 3]), tf.tensor1d([2, 0, 2, 3], "int32"), 5),
    ],
    slice: () => withGradients((x) => tf.slice(x, [1, 2, 0, 1], [1, 3, 7, 2]), [x4()]),
    "slice of rows": () => withGradients((x) => tf.slice(x, [0, 2, 0, 0], [2, 3, 7, 3]), [x4()]),
    "slice of everything": () => withGradients((x) => tf.slice(x, [0, 0, 0, 0], [2, 6, 7, 3]), [x4()]),
    "slice of one dimension": () => withGradients((x) => tf.slice(x, [2], [3]), [numbers("x", [7])]),
    "slice of nothing": () => [tf.slice(x4(), [0, 0, 0, 0], [0, 6, 7, 3])],
    "slice of integers": () => [
      tf.slice(
        tf.tensor2d(
          [
            [1, 2],
            [3, 4],
          ],
          [2, 2],
          "int32",
        ),
        [0, 1],
        [2, 1],
      ),
    ],
    pad: () =>
      withGradients(
        (x) =>
          tf.pad(x, [
            [0, 0],
            [1, 2],
            [3, 1],
            [0, 0],
          ]),
        [x4()],
      ),
    "max pool": () => withGradients((x) => tf.maxPool(x as tf.Tensor4D, 3, 2, "valid"), [x4()]),
    "average pool": () => withGradients((x) => tf.avgPool(x as tf.Tensor4D, 2, 2, "same"), [x4()]),
    mean: () => withGradients((x) => tf.mean(x, [1, 2]), [x4()]),
    "mean of all but channels": () => withGradients((x) => tf.mean(x, [0, 1, 2]), [x4()]),
    sum: () => withGradients((x) => tf.sum(x, [0, 2], true), [x4()]),
    relu: () => withGradients((x) => tf.relu(x), [x4()]),
    sigmoid: () => withGradients((x) => tf.sigmoid(x), [x4()]),
    "log softmax": () => withGradients((x) => tf.logSoftmax(x), [numbers("x", [4, 9])]),
    softmax: () => withGradients((x) => tf.softmax(x), [numbers("x", [4, 9])]),
    "matrix product": () => withGradients((a, b) => tf.matMul(a, b), [numbers("a", [5, 4]), numbers("b", [4, 6])]),
    "add and multiply by channel": () =>
      withGradients((x, a, b) => tf.add(tf.mul(x, a), b), [x4(), numbers("a", [3]), numbers("b", [3])]),
    "divide and subtract": () => withGradients((x, a) => tf.div(x, tf.add(tf.square(a), 1)), [x4(), numbers("a", [3])]),
    rsqrt: () => withGradients((x) => tf.rsqrt(tf.add(tf.square(x), 1)), [x4()]),
    "log of exp": () => withGradients((x) => tf.log(tf.add(tf.exp(x), 1)), [x4()]),
    concat: () => withGradients((a, b) => tf.concat([a, b], 3), [x4(), numbers("y", [2, 6, 7, 2])]),
    "stack and reverse": () =>
      withGradients((a, b) => tf.reverse(tf.stack([a, b]), 1), [x4(), numbers("y", [2, 6, 7, 3])]),
    where: () =>
      withGradients(
        (a, b) => tf.where(tf.cast(tf.step(numbers("mask", a.shape)), "bool"), a, b),
        [x4(), numbers("y", [2, 6, 7, 3])],
      ),
    "broadcast and tile": () =>
      withGradients((x) => tf.tile(tf.broadcastTo(x, [4, 3]), [2, 1]), [numbers("x", [1, 3])]),
    "tile of every axis": () => withGradients((x) => tf.tile(x, [3, 1, 2, 5]), [x4()]),
    "tile of the middle": () => withGradients((x) => tf.tile(x, [1, 3, 1]), [numbers("x", [2, 1, 4])]),
    "tile of integers, of one number, of nothing": () => [
      tf.tile(tf.tensor1d([1, 2, 3], "int32"), [7]),
      tf.tile(tf.tensor2d([[5]]), [2, 3]),
      tf.tile(numbers("x", [2, 3]), [0, 2]),
    ],
    transpose: () => withGradients((x) => tf.transpose(x, [3, 1, 0, 2]), [x4()]),
    clip: () => withGradients((x) => tf.clipByValue(x, -0.5, 0.5), [x4()]),
    "resize, half-pixel centres": () => [tf.image.resizeBilinear(x4() as tf.Tensor4D, [9, 5], false, true)],
  };

  it.each(Object.entries(operations))("%s", async (_, compute) => expectSame(compute));
});

it("leaks nothing: the backend holds as many tensors after a step as before", async () => {
  await tf.setBackend("wasm");
  const step = () =>
    tf.tidy(() => {
      for (const { k, stride, pad } of cases) {
        withGradients(
          (x, w, d) =>
            tf.depthwiseConv2d(tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, stride, pad), d as tf.Tensor4D, 1, "same"),
          [numbers("x", [2, 10, 9, 3]), numbers("w", [k, k, 3, 4]), numbers("d", [3, 3, 4, 2])],
        );
      }
      withGradients((x) => tf.gather(x, tf.tensor1d([0, 0], "int32")), [numbers("x", [5, 4])]);
    });
  step();
  const before = { data: tf.engine().backend.numDataIds(), tensors: tf.memory().numTensors };
  step();
  step();
  expect({ data: tf.engine().backend.numDataIds(), tensors: tf.memory().numTensors }).toEqual(before);
});

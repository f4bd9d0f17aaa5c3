/** The layer system: names, passes, first values, and what layers do between training and evaluation. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { valueAndGradients } from "../../../core/nn/backward.js";
import { forward, initialWeights, type Layer, namedBuffers, namedParameters, run } from "../../../core/nn/layer.js";
import { append, batchNorm, conv2d, dropout, identity, linear, sequential } from "../../../core/nn/layers.js";
import * as ops from "../../../core/nn/ops.js";
import { relativeDifference } from "../../golden/torch/read.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

describe("names", () => {
  const layer = sequential({
    stem: conv2d({ in: 3, out: 4, kernel: 3 }),
    body: sequential([batchNorm(4), identity]),
  });

  it("follow the structure, parameters and buffers apart", () => {
    expect([...namedParameters(layer).keys()]).toEqual(["stem.weight", "body.0.weight", "body.0.bias"]);
    expect([...namedBuffers(layer).keys()]).toEqual(["body.0.running_mean", "body.0.running_var"]);
  });

  it("stay as they are when something is appended", () => {
    const longer = append(batchNorm(4), "se", linear(2, 2));
    expect([...namedParameters(longer).keys()]).toEqual(["weight", "bias", "se.weight", "se.bias"]);
    const twice = append(append(layer, "a", identity), "b", linear(1, 1));
    expect([...namedParameters(twice).keys()]).toEqual([...namedParameters(layer).keys(), "b.weight", "b.bias"]);
  });

  it("are not given twice", () => {
    expect(() => append(layer, "stem", identity)).toThrow(/named "stem" already/);
    expect(() => append(batchNorm(4), "bias", identity)).toThrow(/named "bias" already/);
  });
});

describe("first values", () => {
  it("are a function of the seed and the name alone", () => {
    const one = sequential({ a: linear(20, 10), b: linear(20, 10) });
    const more = sequential({ x: linear(3, 3), b: linear(20, 10) });
    const [first, again, other, wider] = [
      initialWeights(one, 7),
      initialWeights(one, 7),
      initialWeights(one, 8),
      initialWeights(more, 7),
    ];
    expect(values(first.get("b.weight")!)).toEqual(values(again.get("b.weight")!));
    expect(values(first.get("b.weight")!)).toEqual(values(wider.get("b.weight")!));
    expect(values(first.get("b.weight")!)).not.toEqual(values(other.get("b.weight")!));
    expect(values(first.get("b.weight")!)).not.toEqual(values(first.get("a.weight")!));
  });

  it("have PyTorch's distributions", () => {
    const weights = initialWeights(sequential({ conv: conv2d({ in: 8, out: 64, kernel: 3 }), fc: linear(64, 500) }), 1);
    const kernel = values(weights.get("conv.weight")!);
    const deviation = Math.sqrt(kernel.reduce((sum, x) => sum + x * x, 0) / kernel.length);
    // He et al. by the fan out, 9 * 64; 4,608 draws put the deviation within 5 % but once in a million.
    expect(deviation / Math.sqrt(2 / 576)).toBeGreaterThan(0.95);
    expect(deviation / Math.sqrt(2 / 576)).toBeLessThan(1.05);
    for (const name of ["fc.weight", "fc.bias"]) {
      const drawn = values(weights.get(name)!);
      expect(Math.max(...drawn)).toBeLessThanOrEqual(1 / 8);
      expect(Math.max(...drawn)).toBeGreaterThan(0.97 / 8);
      expect(Math.min(...drawn)).toBeGreaterThanOrEqual(-1 / 8);
      expect(Math.min(...drawn)).toBeLessThan(-0.97 / 8);
    }
  });

  it("of norms are one and zero, or zero and zero for a branch that starts as nothing", () => {
    const weights = initialWeights(sequential([batchNorm(2), batchNorm(2, { scale: 0 })]), 1);
    const all = ["0.weight", "0.bias", "0.running_mean", "0.running_var", "1.weight", "1.running_var"];
    expect(all.map((name) => values(weights.get(name)!)[0])).toEqual([1, 0, 0, 1, 0, 1]);
  });
});

describe("a pass", () => {
  const layer = sequential({ fc: linear(2, 3), out: sequential([linear(3, 1)]) });

  it("shows every part's output by its full name, and takes what it is given for it", () => {
    const weights = initialWeights(layer, 1);
    const seen: [string, number[]][] = [];
    const y = forward(layer, tf.ones([4, 2]), {
      weights,
      observe: (path, output) => {
        seen.push([path, output.shape]);
        return path === "fc" ? tf.zerosLike(output) : output;
      },
    });
    expect(seen).toEqual([
      ["fc", [4, 3]],
      ["out.0", [4, 1]],
      ["out", [4, 1]],
    ]);
    const bias = values(weights.get("out.0.bias")!)[0]!;
    expect(values(y)).toEqual([bias, bias, bias, bias]);
  });

  it("counts multiply-adds of the whole batch by layer", () => {
    const counts = new Map<string, number>();
    const weights = initialWeights(layer, 1);
    forward(layer, tf.ones([4, 2]), { weights, onCount: (path, count) => counts.set(path, count) });
    expect([...counts]).toEqual([
      ["fc", 4 * 2 * 3],
      ["out.0", 4 * 3],
    ]);
  });

  it("says which value or part is missing", () => {
    expect(() => forward(layer, tf.ones([4, 2]), { weights: new Map() })).toThrow(/no "fc.weight"/);
    const wrong: Layer = { kind: "wrong", parts: {}, forward: (x, pass) => run(wrong, "conv", x, pass) };
    expect(() => forward(wrong, tf.ones([1]), { weights: new Map() })).toThrow(/"wrong" has no part "conv"/);
  });
});

describe("batch norm", () => {
  const layer = sequential({ bn: batchNorm(2) });
  const x = (): tf.Tensor => tf.tensor4d([1, -10, 3, -30, 5, -50, 7, -70], [2, 2, 1, 2]);

  it("moves its statistics in training alone", () => {
    const weights = initialWeights(layer, 1);
    const moved = new Map<string, tf.Tensor>();
    const onBuffer = (name: string, value: tf.Tensor): unknown => moved.set(name, value);
    forward(layer, x(), { weights, onBuffer });
    expect(moved.size).toBe(0);
    tf.tidy(() => void forward(layer, x(), { weights, training: true, onBuffer })); // what arrives outlives it
    // Mean 4 and unbiased variance 20 / 3, a tenth of each; times ten and a hundred in the second channel.
    expect(relativeDifference(values(moved.get("bn.running_mean")!), [0.4, -4])).toBeLessThan(1e-6);
    expect(relativeDifference(values(moved.get("bn.running_var")!), [0.9 + 2 / 3, 0.9 + 200 / 3])).toBeLessThan(1e-6);
    tf.dispose([...moved.values()]);
    expect(values(weights.get("bn.running_mean")!)).toEqual([0, 0]);
  });

  it("frozen, uses its running statistics and leaves them alone, in training too", () => {
    const weights = initialWeights(layer, 1);
    const options = {
      weights,
      training: true,
      trained: new Set<string>(),
      onBuffer: () => expect.fail("moved"),
    };
    expect(values(forward(layer, x(), options))).toEqual(values(forward(layer, x(), { weights })));
  });

  it.each(["tensorflow", "wasm"] as const)("with given statistics has its formula's gradients on %s", async (name) => {
    await loadBackend({ name });
    const inputs = [x(), tf.tensor1d([2, -3]), tf.tensor1d([0.5, 1])];
    const statistics = { mean: tf.tensor1d([2, -20]), variance: tf.tensor1d([4, 100]) };
    const dy = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 1, 2]);
    const gradients = tf.grads((...args: tf.Tensor[]) => {
      const [input, scale, offset] = args as [tf.Tensor, tf.Tensor, tf.Tensor];
      return ops.batchNormInference(input, scale, offset, statistics, 0);
    });
    const [dx, dScale, dOffset] = gradients(inputs, dy).map(values);
    expect(relativeDifference(dx!, [1, -0.6, 3, -1.2, 5, -1.8, 7, -2.4])).toBeLessThan(1e-6);
    // Sums of dy times (x - mean) / deviation: (-1, 1, 3, 5) / 2 and (10, -10, -30, -50) / 10.
    expect(relativeDifference(dScale!, [26, -60])).toBeLessThan(1e-6);
    expect(relativeDifference(dOffset!, [16, 20])).toBeLessThan(1e-6);
    await loadBackend({ name: "tensorflow" });
  });
});

describe("dropout", () => {
  const layer = sequential({ drop: dropout(0.25) });
  const uniform = (path: string, shape: number[]): tf.Tensor => {
    expect(path).toBe("drop");
    return tf.tensor([0, 0.24, 0.25, 0.99], shape);
  };

  it("drops what is drawn below the rate and makes up for it", () => {
    const y = forward(layer, tf.tensor1d([1, 2, 3, 6]), { weights: new Map(), training: true, uniform });
    expect(relativeDifference(values(y), [0, 0, 4, 8])).toBeLessThan(1e-6);
  });

  it("does nothing in evaluation, or at rate 0", () => {
    const x = tf.tensor1d([1, 2, 3, 6]);
    expect(forward(layer, x, { weights: new Map() })).toBe(x);
    expect(forward(sequential([dropout(0)]), x, { weights: new Map(), training: true })).toBe(x);
  });

  it("says who needs random numbers when there are none", () => {
    const train = (): unknown => forward(layer, tf.ones([1]), { weights: new Map(), training: true });
    expect(train).toThrow(/"drop" needs random numbers/);
  });
});

describe("operations", () => {
  it("add refuses to broadcast, which in a residual block is a mistake", () => {
    expect(() => ops.add(tf.ones([2, 2]), tf.ones([2]))).toThrow(/two tensors of one shape/);
  });

  it("resize to the same size is no work", () => {
    const x = tf.ones([1, 2, 3, 1]);
    expect(ops.resize(x, 2, 3)).toBe(x);
  });

  it("give the same gradients every time: strided 1 x 1 convolutions of few channels did not, on oneDNN", () => {
    const gradientsOf = tf.grads((x: tf.Tensor, w: tf.Tensor) => ops.conv2d(x, w, { stride: 2 }));
    for (const [input, out] of [
      [3, 4],
      [4, 8],
      [5, 16],
    ] as const) {
      const x = tf.randomNormal([2, 8, 8, input], 0, 1, "float32", 1);
      const w = tf.randomNormal([1, 1, input, out], 0, 1, "float32", 2);
      const dy = tf.randomNormal([2, 4, 4, out], 0, 1, "float32", 3);
      const first = gradientsOf([x, w], dy).map(values);
      const seen = tf.stridedSlice(x, [0, 0, 0, 0], [2, 8, 8, input], [1, 2, 2, 1]);
      const wanted = tf.matMul(tf.reshape(seen, [-1, input]), tf.reshape(dy, [-1, out]), true);
      for (let times = 0; times < 20; times++) {
        expect(gradientsOf([x, w], dy).map(values)).toEqual(first);
      }
      expect(relativeDifference(first[1]!, values(wanted))).toBeLessThan(1e-6);
    }
  });

  it("leave no tensor behind, in tf.js or in TensorFlow", () => {
    const layer = sequential([
      conv2d({ in: 3, out: 4, kernel: 3, stride: 2 }),
      batchNorm(4),
      { kind: "rest", forward: (x) => ops.globalMaxPool(ops.silu(ops.relu(ops.maxPool(x, 3, 2, 1)))) },
      linear(4, 2),
    ]);
    const weights = initialWeights(layer, 1);
    const parameters = [...namedParameters(layer).keys()].map((name) => weights.get(name)!);
    const { binding } = tf.backend() as unknown as { binding: { getNumOfTensors(): number } };
    const step = (): void => {
      tf.tidy(() => {
        const loss = (): tf.Scalar => {
          const images = ops.resize(tf.ones([2, 7, 7, 3]), 8, 8);
          const logits = forward(layer, images, { weights, training: true });
          return ops.softCrossEntropy(logits, tf.ones([2, 2])) as tf.Scalar;
        };
        valueAndGradients(loss, parameters).value.dataSync();
        forward(layer, tf.ones([2, 8, 8, 3]), { weights }).dataSync();
      });
    };
    step();
    const before = [tf.memory().numTensors, tf.memory().numDataBuffers, binding.getNumOfTensors()];
    for (let times = 0; times < 3; times++) step();
    expect([tf.memory().numTensors, tf.memory().numDataBuffers, binding.getNumOfTensors()]).toEqual(before);
  });
});

/** The way back against tf.js' own: the same bits, less memory, nothing left behind. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/index.js";
import { efficientNetB0, resnet9, resnet18, wrn } from "../../../core/models/index.js";
import { heldBytes, valueAndGradients } from "../../../core/nn/backward.js";
import { forward, initialWeights, namedParameters } from "../../../core/nn/layer.js";
import * as ops from "../../../core/nn/ops.js";
import { makePart } from "../../../core/parts.js";

const bits = (tensor: tf.Tensor | undefined): number[] => [
  ...new Int32Array((tensor!.dataSync() as Float32Array).slice().buffer),
];
const scalar = (x: tf.Tensor): tf.Scalar => tf.sum(x) as tf.Scalar;
describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(async () => void (await loadBackend({ name: backend })));

  it.each([
    ["resnet18", makePart(resnet18({ width: 4 }))],
    ["resnet9", makePart(resnet9({ width: 4 }))],
    ["wrn", makePart(wrn({ depth: 10, width: 1 }))],
    ["efficientnet-b0", makePart(efficientNetB0())],
  ])("value and gradients of %s have the bits of tf.js', in six tenths of the memory at most", (_, source) => {
    const through = <T>(layer: T): T => layer;
    const { layer } = source.build({ inputSize: 32, classes: 5, buildBlock: through, buildHead: through });
    const weights = initialWeights(layer, 1);
    const names = [...namedParameters(layer).keys()];
    const parameters = names.map((name) => weights.get(name)!);
    tf.tidy(() => {
      const images = tf.randomNormal([4, 32, 32, 3], 0, 1, "float32", 1);
      const targets = tf.oneHot(tf.tensor1d([0, 1, 2, 4], "int32"), 5).toFloat();
      const loss = (): tf.Scalar =>
        ops.softCrossEntropy(forward(layer, images, { weights, training: true }), targets) as tf.Scalar;
      const start = tf.memory().numBytes;
      const peak = <T>(run: () => T): [T, number] => {
        let most = 0;
        const engine = tf.engine() as unknown as { trackTensor(...args: unknown[]): void };
        const { trackTensor } = engine;
        engine.trackTensor = (...args) => {
          trackTensor.apply(engine, args);
          most = Math.max(most, tf.memory().numBytes - start);
        };
        try {
          return [run(), most];
        } finally {
          engine.trackTensor = trackTensor;
        }
      };
      const [ours, ourPeak] = peak(() => valueAndGradients(loss, parameters));
      const [theirs, theirPeak] = peak(() => tf.engine().gradients(loss, parameters, undefined, true));
      expect(bits(ours.value)).toEqual(bits(theirs.value));
      names.forEach((name, index) => expect(bits(ours.gradients[index]), name).toEqual(bits(theirs.grads[index])));
      expect(ourPeak).toBeLessThan(0.6 * theirPeak);
    });
    tf.dispose([...weights.values()]);
  });

  it("a tensor that is used several times has the sum of its gradients", () => {
    tf.tidy(() => {
      const x = tf.tensor1d([1, 2, 3]);
      const { gradients } = valueAndGradients(() => scalar(tf.add(tf.mul(x, x), tf.mul(x, 5))), [x]);
      expect([...gradients[0]!.dataSync()]).toEqual([7, 9, 11]);
    });
  });

  // A gradient by hand may give what it was given, what was saved for it, or one tensor for two inputs.
  it.each<[string, (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[], number[]]>([
    ["the gradient that came", (dy) => [dy, dy], [3, 3]],
    ["one tensor twice", (dy) => Array(2).fill(tf.mul(dy, 5)) as tf.Tensor[], [15, 15]],
    ["what was saved", (_, [saved]) => [saved!, saved!], [8, 9]],
  ])("gradients by hand: %s", (_, gradient, expected) => {
    const inner = tf.customGrad((...args) => {
      const [a, b, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
      save([tf.tensor1d([8, 9])]);
      return { value: tf.add(a, b), gradFunc: (dy, saved) => gradient(dy as tf.Tensor, saved) };
    });
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
      const { gradients } = valueAndGradients(() => scalar(tf.mul(inner(tf.mul(x, 1), tf.mul(y, 1)), 3)), [x, y]);
      for (const each of gradients) expect([...each!.dataSync()]).toEqual(expected);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it("a function that gives its input back may change the gradient on its way", () => {
    const reverse = tf.customGrad((...args) => ({
      value: args[0] as tf.Tensor,
      gradFunc: (dy) => tf.mul(dy as tf.Tensor, -2),
    }));
    tf.tidy(() => {
      const x = tf.tensor1d([1, 2]);
      const gradientOf = (f: () => tf.Tensor): number[] => [
        ...valueAndGradients(() => scalar(f()), [x]).gradients[0]!.dataSync(),
      ];
      expect(gradientOf(() => reverse(tf.mul(x, 3)))).toEqual([-6, -6]);
      expect(gradientOf(() => reverse(x))).toEqual([-2, -2]);
    });
  });

  it("what the value does not depend on has no gradient, and an x that is made of another has one", () => {
    tf.tidy(() => {
      const [x, idle] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
      let square!: tf.Tensor;
      const { gradients } = valueAndGradients(() => {
        square = tf.keep(tf.square(x));
        tf.square(idle);
        return scalar(tf.mul(square, 3));
      }, [x, idle]);
      square.dispose();
      expect([...gradients[0]!.dataSync()]).toEqual([6, 12]);
      expect(gradients[1]).toBeUndefined();
    });
  });

  it("a function that asks for gradients itself is differentiated through them", () => {
    tf.tidy(() => {
      const x = tf.tensor1d([2, 3]);
      const cube = (z: tf.Tensor): tf.Tensor => tf.mul(z, tf.mul(z, z));
      const { gradients } = valueAndGradients(() => scalar(tf.grad(cube)(x)), [x]);
      expect([...gradients[0]!.dataSync()]).toEqual([12, 18]); // 6 x
      expect(() => tf.grad((z) => valueAndGradients(() => scalar(z), [z]).value)(x)).toThrow(
        "cannot be differentiated itself",
      );
    });
  });

  it("what fails forward or backward leaves no tensor and no tape behind", () => {
    const x = tf.tensor1d([1, 2]);
    const before = tf.memory().numTensors;
    const failing = tf.customGrad((...args) => ({
      value: tf.mul(args[0] as tf.Tensor, 2),
      gradFunc: () => {
        throw new Error("backward");
      },
    }));
    const short = tf.customGrad((...args) => ({
      value: tf.mul(args[0] as tf.Tensor, 2),
      gradFunc: () => tf.ones([3]),
    }));
    const forwards = (): tf.Scalar => {
      tf.square(tf.square(x));
      throw new Error("forward");
    };
    expect(() => valueAndGradients(forwards, [x])).toThrow("forward");
    expect(() => valueAndGradients(() => scalar(tf.square(failing(tf.square(x)))), [x])).toThrow("backward");
    expect(() => valueAndGradients(() => scalar(short(x)), [x])).toThrow(
      /gradient of float32\[3\] for its input "0" \[2\]/,
    );
    expect(() => valueAndGradients(() => scalar(tf.cumprod(x)), [x])).toThrow("Cumprod has no gradient");
    expect(tf.memory().numTensors).toBe(before);
    tf.tidy(() => {
      expect([...valueAndGradients(() => scalar(tf.square(x)), [x]).gradients[0]!.dataSync()]).toEqual([2, 4]);
    });
    x.dispose();
  });
});

it("there is no second derivative of native operations, and that is said", async () => {
  await loadBackend({ name: "tensorflow" });
  tf.tidy(() => {
    const [x, w] = [tf.ones([1, 4, 4, 1]), tf.ones([3, 3, 1, 1])];
    const penalty = (): tf.Scalar => scalar(tf.square(tf.grad((z) => ops.conv2d(z, w))(x)));
    expect(() => valueAndGradients(penalty, [w])).toThrow("Conv2D has no second derivative");
  });
});

it("what the way back holds on to is counted once, weights and what only passes by apart", async () => {
  await loadBackend({ name: "tensorflow" });
  tf.tidy(() => {
    const [x, w, scale] = [tf.ones([2, 4, 4, 3]), tf.ones([3, 3, 3, 5]), tf.ones([5])];
    const running = { mean: tf.zeros([5]), variance: tf.ones([5]) };
    const norm = { epsilon: 1e-5, momentum: 0.1 };
    const held = (f: () => tf.Tensor): number => heldBytes(f, [w, scale]);
    const [input, map] = [2 * 4 * 4 * 3, 2 * 4 * 4 * 5];
    expect(held(() => ops.conv2d(x, w, { padding: 1 }))).toBe(4 * input);
    // The sum is held by nothing, and the result of relu by relu and the square together.
    expect(held(() => tf.square(ops.relu(ops.add(x, x))))).toBe(4 * input);
    const block = (): tf.Tensor =>
      ops.relu(ops.batchNorm(ops.conv2d(x, w, { padding: 1 }), scale, scale, running, norm).y);
    expect(held(block) - 4 * (input + 2 * map)).toBeLessThanOrEqual(3 * 5 * 4); // the statistics of the batch
    const half = held(() => ops.relu(ops.conv2d(x, w, { padding: 1, precision: "bfloat16" })));
    expect(half).toBe(2 * (input + w.size + map));
  });
});

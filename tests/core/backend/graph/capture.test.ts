/** A function of tensors as one graph: the same bits, and never a number of another step. */

import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Capture, createCapture, eager } from "../../../../core/backend/graph/capture.js";
import { currentNativeCalls } from "../../../../core/backend/graph/native-calls.js";
import type { Compute, Draw } from "../../../../core/backend/graph/recorder.js";
import { timeNativeCalls } from "../../../../core/backend/native-timing.js";
import { loadBackend, ops } from "../../../../core/index.js";

const told: string[] = [];
let capture: Capture;
beforeAll(async () => void (await loadBackend({ name: "tensorflow" })));
afterEach(() => {
  capture.dispose();
  told.length = 0;
});
const start = (): void => void (capture = createCapture((message) => told.push(message)));
const noDraw: Draw = () => expect.fail("nothing is drawn");

/** Calls with 1, 2, 3, … as `x`, and gives what came out as `y`; graphs run are counted. */
function calls(
  compute: Compute,
  count: number,
  { draw = noDraw, from = 1 }: { draw?: Draw; from?: number } = {},
): { found: number[]; graphs: number } {
  const timing = timeNativeCalls()!;
  try {
    const found = Array.from({ length: count }, (_, index) =>
      tf.tidy(() => capture.run("test", compute, { x: tf.tensor1d([from + index, 0.5]) }, draw).y!.dataSync()[0]!),
    );
    return { found, graphs: timing.calls(1).find(({ name }) => name.startsWith("graphs"))?.calls ?? 0 };
  } finally {
    timing.stop();
  }
}

describe("a function of tensors", () => {
  it("runs as a graph from the third call on, on what it is given then", () => {
    start();
    const compute: Compute = ({ x }) => ({ y: tf.add(tf.mul(x!, tf.tensor1d([2, 3])), 1) });
    expect(calls(compute, 5)).toEqual({ found: [3, 5, 7, 9, 11], graphs: 3 });
    expect(told).toEqual([]);
  });

  it("gives the very bits that its operations give", () => {
    start();
    const compute: Compute = ({ x, w, scale }) => {
      const y = ops.relu(ops.conv2d(x!, w!, { stride: 2, padding: 1 }));
      return { y, pooled: tf.logSoftmax(ops.globalAveragePool(tf.mul(y, scale!))), norm: ops.squaredNorm([y, w!]) };
    };
    tf.tidy(() => {
      const w = tf.randomNormal([3, 3, 8, 16], 0, 1, "float32", 2);
      for (let call = 0; call < 5; call++) {
        const inputs = { x: tf.randomNormal([4, 9, 9, 8], 0, 1, "float32", 3 + call), w, scale: tf.scalar(call / 3) };
        const [mine, plain] = [capture, eager].map((way) => way.run("test", compute, inputs, noDraw));
        for (const name of Object.keys(plain!)) {
          expect([...mine![name]!.dataSync()], `${name}, call ${call}`).toEqual([...plain![name]!.dataSync()]);
        }
      }
    });
    expect(told).toEqual([]);
  });

  it("divides where its operations divide: of constants TensorFlow would make a product, with other bits", () => {
    start();
    const thirds: Compute = ({ x }) => ({ y: tf.div(x!, 3) });
    const found = calls(thirds, 40).found;
    expect(found).toEqual(Array.from({ length: 40 }, (_, at) => Math.fround((1 + at) / 3)));
    capture.dispose(); // another computation under the same name
    const pooled: Compute = ({ x }) => ({
      y: tf.grad((map: tf.Tensor) => ops.globalAveragePool(map))(tf.zeros([1, 7, 7, 2]), tf.reshape(x!, [1, 2])),
    });
    expect(calls(pooled, 40).found).toEqual(Array.from({ length: 40 }, (_, at) => Math.fround((1 + at) / 49)));
    expect(told).toEqual([]);
  });

  it("does not come from a graph that TensorFlow computes to other bits", () => {
    start();
    const softmax: Compute = ({ x }) => ({
      y: tf.sum(tf.mul(tf.softmax(tf.mul(x!, tf.range(1, 3))), tf.tensor1d([1, 3]))),
    });
    const found = calls(softmax, 5);
    const plain = Array.from({ length: 5 }, (_, at) =>
      tf.tidy(() => softmax({ x: tf.tensor1d([1 + at, 0.5]) }, noDraw, () => {}).y!.dataSync()[0]!),
    );
    expect(found.found).toEqual(plain);
    // Whether it is fused depends on the processor; where it is, that is said.
    if (found.graphs < 3) expect(told).toEqual([expect.stringMatching(/^The test runs .*to other bits/)]);
  });

  it("keeps a convolution and a norm with given statistics apart", () => {
    start();
    const compute: Compute = ({ x, w, c }) => ({
      y: ops.relu(
        ops.batchNormInference(
          ops.conv2d(x!, w!, { padding: 1 }),
          c!,
          tf.neg(c!),
          { mean: c!, variance: tf.square(c!) },
          1e-5,
        ),
      ),
    });
    tf.tidy(() => {
      const [w, c] = [
        tf.randomNormal([3, 3, 8, 16], 0, 1, "float32", 2),
        tf.randomUniform([16], 0.5, 1.5, "float32", 3),
      ];
      for (let call = 0; call < 5; call++) {
        const inputs = { x: tf.randomNormal([4, 9, 9, 8], 0, 1, "float32", 4 + call), w, c };
        const [mine, plain] = [capture, eager].map((way) => way.run("test", compute, inputs, noDraw).y!.dataSync());
        expect([...mine!], `call ${call}`).toEqual([...plain!]);
      }
    });
    expect(told).toEqual([]);
  });

  it("may be bfloat16, which stays known", () => {
    start();
    const compute: Compute = ({ x }) => ({
      y: ops.conv2d(tf.reshape(x!, [1, 1, 2, 1]), tf.ones([1, 1, 1, 1]), { precision: "bfloat16" }),
    });
    const sums = Array.from({ length: 5 }, (_, at) =>
      tf.tidy(() => tf.sum(capture.run("test", compute, { x: tf.tensor1d([1 + at, 0.5]) }, noDraw).y!).dataSync()[0]!),
    );
    expect(sums).toEqual([1.5, 2.5, 3.5, 4.5, 5.5]);
    expect(calls(compute, 3).found).toEqual([1, 2, 3]);
    expect(told).toEqual([]);
  });

  it("tells two inputs of one value apart when they no longer are", () => {
    start();
    const compute: Compute = ({ a, b }) => ({ y: tf.add(tf.mul(a!, 1000), b!) });
    const at = (a: number, b?: number): number =>
      tf.tidy(() => {
        const first = tf.scalar(a);
        return capture
          .run("test", compute, { a: first, b: b === undefined ? first.clone() : tf.scalar(b) }, noDraw)
          .y!.dataSync()[0]!;
      });
    expect([at(1), at(2), at(3), at(1, 3), at(2, 3), at(3, 4), at(4, 5)]).toEqual([
      1001, 2002, 3003, 1003, 2003, 3004, 4005,
    ]);
    capture.renew(); // the graph goes when the next look sees one value, and goes once
    expect([at(5), at(1, 3), at(2, 3), at(3, 4), at(6)]).toEqual([5005, 1003, 2003, 3004, 6006]);
    expect(told).toEqual([]);
  });

  it("is fed new random numbers at each call", () => {
    start();
    let drawn = 0;
    const compute: Compute = ({ x }, draw) => ({ y: tf.add(x!, draw("mask", [2])) });
    const draw: Draw = (name, shape) => {
      expect([name, shape]).toEqual(["mask", [2]]);
      return tf.fill(shape, 100 * ++drawn);
    };
    expect(calls(compute, 4, { draw })).toEqual({ found: [101, 202, 303, 404], graphs: 2 });
    expect(drawn, "once a call, also where the graph is proved").toBe(4);
  });

  it("draws as often and in the shapes that its operations do, under one name too", () => {
    start();
    let drawn = 0;
    const compute: Compute = ({ x }, draw) => ({
      y: tf.add(tf.mul(x!, draw("noise", [2])), tf.sum(draw("noise", [3, 1]))),
    });
    const draw: Draw = (_, shape) => tf.fill(shape, ++drawn);
    expect(calls(compute, 5, { draw })).toEqual({
      found: [1 + 6, 2 * 3 + 12, 3 * 5 + 18, 4 * 7 + 24, 5 * 9 + 30],
      graphs: 3,
    });
    expect(told).toEqual([]);
  });

  it("has a graph for each shape", () => {
    start();
    const compute: Compute = ({ x }) => ({ y: tf.sum(x!) });
    const sum = (size: number): number =>
      tf.tidy(() => capture.run("test", compute, { x: tf.ones([size]) }, noDraw).y!.dataSync()[0]!);
    expect([3, 5, 3, 5, 3, 5, 7, 3].map(sum)).toEqual([3, 5, 3, 5, 3, 5, 7, 3]);
  });

  it("may give one value twice, or an input back", () => {
    start();
    const compute: Compute = ({ x }) => {
      const y = tf.square(x!);
      return { y, again: y.clone(), same: x!.clone() };
    };
    for (let call = 0; call < 4; call++) {
      tf.tidy(() => {
        const found = capture.run("test", compute, { x: tf.tensor1d([call]) }, noDraw);
        expect(Object.values(found).map((value) => value.dataSync()[0])).toEqual([call ** 2, call ** 2, call]);
      });
    }
  });

  it("leaves no tensor, in tf.js or in TensorFlow, and no folder", () => {
    start();
    const compute: Compute = ({ x }, draw) => ({ y: tf.mul(tf.add(x!, draw("mask", [2])), tf.scalar(3)) });
    const native = (): number => (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
    const before = [tf.memory().numTensors, native()];
    calls(compute, 6, { draw: (_, shape) => tf.zeros(shape) });
    expect([tf.memory().numTensors, native()]).toEqual(before);
    expect(existsSync(tmpdir()) && readdirSync(tmpdir()).filter((name) => name.startsWith("fitloop-graph-"))).toEqual(
      [],
    );
  });
});

describe("what would be frozen is noticed", () => {
  it("a number that differs from call to call: every value is right, and one line says why there is no graph", () => {
    start();
    let rate = 0;
    const compute: Compute = ({ x }) => ({ y: tf.mul(x!, ++rate) });
    expect(calls(compute, 8)).toEqual({ found: [1, 4, 9, 16, 25, 36, 49, 64], graphs: 0 });
    expect(told).toEqual([
      expect.stringMatching(/^The test runs operation by operation, not as one graph: .*no inputs/),
    ]);
  });

  it("a number that changes with the epoch: the graph is made anew", () => {
    start();
    let factor = 2;
    const compute: Compute = ({ x }) => ({ y: tf.mul(x!, factor) });
    expect(calls(compute, 4)).toEqual({ found: [2, 4, 6, 8], graphs: 2 });
    factor = 3;
    capture.renew();
    expect(calls(compute, 4)).toEqual({ found: [3, 6, 9, 12], graphs: 2 });
    capture.renew();
    expect(calls(compute, 4), "one look is enough where nothing changed").toEqual({ found: [3, 6, 9, 12], graphs: 3 });
    expect(told).toEqual([]);
  });

  it("a tensor from elsewhere", () => {
    start();
    const other = tf.scalar(2);
    tf.add(other, 1).dispose(); // it is in TensorFlow's hands
    expect(calls(({ x }) => ({ y: tf.mul(x!, other) }), 4)).toEqual({ found: [2, 4, 6, 8], graphs: 0 });
    expect(told).toEqual([expect.stringContaining("a tensor that is neither an input nor made by it")]);
    other.dispose();
  });

  it("a tensor from elsewhere that TensorFlow has not been given yet", () => {
    start();
    const compute = (): Compute => {
      const made = tf.scalar(2);
      return ({ x }) => ({ y: tf.mul(x!, made) });
    };
    const found = [1, 2, 3, 4].map((from) => tf.tidy(() => calls(compute(), 1, { from }).found[0]));
    expect(found).toEqual([2, 4, 6, 8]);
    expect(told).toEqual([expect.stringContaining("a tensor that is neither an input nor made by it")]);
  });

  it("a value that is read back", () => {
    start();
    const compute: Compute = ({ x }) => ({ y: tf.mul(x!, tf.square(x!).dataSync()[0]!) });
    expect(calls(compute, 4)).toEqual({ found: [1, 8, 27, 64], graphs: 0 });
    expect(told).toEqual([expect.stringContaining("it reads values back")]);
  });

  it("a graph that TensorFlow refuses", () => {
    start();
    const native = currentNativeCalls()!;
    const { loadSavedModel } = native;
    native.loadSavedModel = () => {
      throw new Error("no room");
    };
    try {
      expect(calls(({ x }) => ({ y: tf.add(x!, 1) }), 5)).toEqual({ found: [2, 3, 4, 5, 6], graphs: 0 });
    } finally {
      native.loadSavedModel = loadSavedModel;
    }
    expect(told).toEqual([expect.stringContaining("the graph cannot be run (no room)")]);
  });

  it("a failure on the way leaves everything as it was, and the next call is whole", () => {
    start();
    const failing: Compute = () => {
      throw new Error("no");
    };
    expect(() => calls(failing, 1)).toThrow("no");
    expect(calls(({ x }) => ({ y: tf.add(x!, 1) }), 4)).toEqual({ found: [2, 3, 4, 5], graphs: 2 });
  });

  it("a failure while a graph is proved leaves no draw behind", () => {
    start();
    const before = tf.memory().numTensors;
    let call = 0;
    const compute: Compute = ({ x }, draw) => {
      const y = tf.add(x!, draw("mask", [2]));
      if (++call === 3) throw new Error("third");
      return { y };
    };
    expect(() => calls(compute, 3, { draw: (_, shape) => tf.zeros(shape) })).toThrow("third");
    expect(tf.memory().numTensors).toBe(before);
  });
});

it("there is none on wasm", async () => {
  await loadBackend({ name: "wasm" });
  start();
  expect(capture).toBe(eager);
  await loadBackend({ name: "tensorflow" });
});

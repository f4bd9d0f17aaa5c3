import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { modelByName } from "../../../core/models/index.js";
import { forward, initialWeights, type Layer } from "../../../core/nn/layer.js";
import { activation, append, batchNorm, conv2d, linear, sequential } from "../../../core/nn/layers.js";
import * as ops from "../../../core/nn/ops.js";
import { squeezeExcite } from "../../../core/nn/squeeze-excite.js";
import { makePart } from "../../../core/parts.js";
import { type Graph, multiplyAdds, type Node } from "../../../core/trace/graph.js";
import { interpret } from "../../../core/trace/interpret.js";
import { simplify, withNormalising } from "../../../core/trace/passes.js";
import { trace } from "../../../core/trace/trace.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

/** A layer's graph, and the largest difference of its answers from the layer's, relative to the largest. */
function traced(layer: Layer, size = 8): { graph: Graph; difference: number } {
  const weights = initialWeights(layer, 1);
  for (const [name, value] of weights) {
    if (name.endsWith("running_mean")) weights.set(name, tf.add(value, 0.1));
    if (name.endsWith("running_var")) weights.set(name, tf.mul(value, 1.7));
  }
  const graph = simplify(trace(layer, weights, size));
  const difference = tf.tidy(() => {
    const x = tf.randomNormal([3, size, size, 3], 0, 1, "float32", 5);
    const wanted = forward(layer, x, { weights });
    const apart = tf.max(tf.abs(tf.sub(interpret(graph, x), wanted)));
    return tf.div(apart, tf.max(tf.abs(wanted))).dataSync()[0]!;
  });
  tf.dispose([...weights.values()]);
  return { graph, difference };
}

const head = (channels: number): Record<string, Layer> => ({
  pool: activation("pool", ops.globalAveragePool),
  fc: linear(channels, 4),
});
const padded = (x: tf.Tensor): tf.Tensor4D =>
  tf.pad(x as tf.Tensor4D, [
    [0, 0],
    [0, 2],
    [1, 0],
    [0, 0],
  ]);
const operations = ({ nodes }: Graph): string[] =>
  nodes.map(({ op, activation: after }) => (after === "none" ? op : `${op} ${after}`));

describe("a traced network", () => {
  it.each([
    ["resnet18", { width: 4 }],
    ["resnet50", { width: 4, stem: "imagenet" }],
    ["wrn", { depth: 10, width: 1 }],
    ["resnet9", { width: 4 }],
    ["efficientnet-b0", {}],
    ["mobilenet-v3-small", {}],
  ] as const)("%s gives the network's answers, squeeze-and-excitation included", (name, options) => {
    const { layer } = makePart(modelByName(name, options)).build({
      inputSize: 32,
      classes: 4,
      buildBlock: (branch, { channels }) => append(branch, "own-se", squeezeExcite({ channels, squeezed: 2 })),
      buildHead: (each) => each,
    });
    const { graph, difference } = traced(layer, 32);
    expect(difference).toBeLessThan(1e-5);
    expect(new Set(graph.nodes.map(({ out }) => out)).size).toBe(graph.nodes.length);
  });

  it("leaves nothing of norms, biases and activations but what they do to what is before them", () => {
    const layer = sequential({
      conv: conv2d({ in: 3, out: 6, kernel: 3, bias: true }),
      bn: batchNorm(6),
      act: activation("relu", ops.relu),
      ...head(6),
    });
    const { graph, difference } = traced(layer);
    expect(operations(graph)).toEqual(["conv relu", "mean", "dense"]);
    expect(graph.nodes.map(({ out }) => out)).toEqual(["conv", "pool", "logits"]);
    expect(multiplyAdds(graph)).toBe(8 * 8 * 9 * 3 * 6 + 6 * 4);
    expect(difference).toBeLessThan(1e-5);
  });

  it("keeps a norm that another one uses as well", () => {
    const branch = conv2d({ in: 6, out: 6, kernel: 1 });
    const layer: Layer = {
      kind: "twice",
      parts: { conv: conv2d({ in: 3, out: 6, kernel: 1 }), bn: batchNorm(6), branch, ...head(6) },
      forward(x, pass) {
        const [conv, bn] = [pass.part("conv"), pass.part("bn")];
        const raw = layer.parts!.conv!.forward(x, conv);
        const sum = ops.add(layer.parts!.bn!.forward(raw, bn), raw);
        const pooled = ops.globalAveragePool(sum);
        return layer.parts!.fc!.forward(pooled, pass.part("fc"));
      },
    };
    const { graph, difference } = traced(layer);
    expect(operations(graph)).toEqual(["conv", "affine", "add", "mean", "dense"]);
    expect(difference).toBeLessThan(1e-5);
  });

  it("has GELU as one operation", () => {
    const layer = sequential({
      conv: conv2d({ in: 3, out: 6, kernel: 3 }),
      act: activation("gelu", ops.gelu),
      ...head(6),
    });
    const { graph, difference } = traced(layer);
    expect(operations(graph)).toEqual(["conv", "gelu", "mean", "dense"]);
    expect(difference).toBeLessThan(1e-5);
  });

  it.each<[string, Parameters<typeof tf.conv2d>[3]]>([
    ["none", "valid"],
    ["same", "same"],
    [
      "explicit",
      [
        [0, 0],
        [0, 1],
        [2, 0],
        [0, 0],
      ],
    ],
  ])("adds a pad to the padding that a convolution has itself: %s", (_, padding) => {
    const layer = sequential({
      conv: conv2d({ in: 3, out: 6, kernel: 3 }),
      own: activation("own", (x) => {
        const filter = tf.tensor4d(
          Float32Array.from({ length: 3 * 3 * 6 * 6 }, (_, at) => Math.sin(at)),
          [3, 3, 6, 6],
        );
        return tf.conv2d(padded(x), filter, 1, padding);
      }),
      ...head(6),
    });
    const { graph, difference } = traced(layer);
    expect(operations(graph)).toEqual(["conv", "conv", "mean", "dense"]);
    expect(difference).toBeLessThan(1e-5);
  });

  it("takes a temperature into its last product", () => {
    const layer = sequential({ conv: conv2d({ in: 3, out: 6, kernel: 3 }), ...head(6) });
    const weights = initialWeights(layer, 1);
    const found = trace(layer, weights, 8);
    const [plain, warm] = [simplify(found), simplify(found, { temperature: 2 })];
    expect(operations(warm)).toEqual(operations(plain));
    const apart = tf.tidy(() => {
      const x = tf.randomNormal([2, 8, 8, 3], 0, 1, "float32", 5);
      return tf.max(tf.abs(tf.sub(tf.div(interpret(plain, x), 2), interpret(warm, x)))).dataSync()[0]!;
    });
    expect(apart).toBeLessThan(1e-6);
    tf.dispose([...weights.values()]);
  });

  it("normalises bytes in front of the zeros that a convolution pads with", () => {
    const layer = sequential({ conv: conv2d({ in: 3, out: 6, kernel: 3 }), ...head(6) });
    const weights = initialWeights(layer, 1);
    const scale = { mean: [0.5, 0.4, 0.3], deviation: [0.1, 0.2, 0.3] };
    const graph = withNormalising(simplify(trace(layer, weights, 8)), scale);
    const apart = tf.tidy(() => {
      const bytes = tf.floor(tf.randomUniform([2, 8, 8, 3], 0, 256, "float32", 5));
      const wanted = forward(layer, tf.div(tf.sub(tf.div(bytes, 255), scale.mean), scale.deviation), { weights });
      return tf.max(tf.abs(tf.sub(interpret(graph, bytes), wanted))).dataSync()[0]!;
    });
    expect(operations(graph)[0]).toBe("affine");
    expect(apart).toBeLessThan(1e-5);
    tf.dispose([...weights.values()]);
  });
});

describe("what cannot be exported is one error", () => {
  const refused = (kind: string, apply: (x: tf.Tensor) => tf.Tensor): (() => unknown) => {
    const layer = sequential({ conv: conv2d({ in: 3, out: 6, kernel: 3 }), own: activation(kind, apply), ...head(6) });
    return () => traced(layer);
  };

  it.each([
    [
      "an operation that no format knows, with its place",
      (x: tf.Tensor) => tf.sin(x),
      /Sin, in or after the layer "conv": no format has this operation/,
    ],
    ["a mean over other axes", (x: tf.Tensor) => tf.add(x, tf.mean(x, [3], true)), /Mean.*a mean over the axes 3/],
    [
      "a size that depends on the batch",
      (x: tf.Tensor) => tf.reshape(tf.reshape(x, [x.shape[0]! * 64, 6]), x.shape),
      /Reshape.*depends on the batch/,
    ],
    [
      "another computation for another batch",
      (x: tf.Tensor) => (x.shape[0] === 2 ? tf.relu(x) : tf.relu(tf.relu(x))),
      /something else for another batch size/,
    ],
    [
      "a pad before a ReLU",
      (x: tf.Tensor) => tf.relu(padded(x)),
      /Relu, in or after the layer "conv": it reads a padded/,
    ],
    ["a pad before a sum", (x: tf.Tensor) => tf.add(padded(x), padded(x)), /Add.*it reads a padded value/],
    ["a pad before a mean", (x: tf.Tensor) => padded(x), /Mean, in or after the layer "own": it reads a padded value/],
    ["a pad before a pad", (x: tf.Tensor) => tf.relu(padded(padded(x))), /Pad.*it reads a padded value/],
    ["a tensor from outside", (x: tf.Tensor) => tf.mul(x, outside()), /a tensor from outside the model/],
  ])("%s", (_, apply, message) => {
    expect(refused("own", apply)).toThrow(
      expect.objectContaining({ code: "ERR_EXPORT", message: expect.stringMatching(message) }),
    );
  });

  let kept: tf.Tensor | undefined;
  const outside = (): tf.Tensor => (kept ??= tf.keep(tf.ones([6])));
});

it("interpret holds the values that are still read, and no others", () => {
  const node = (at: number): Node => ({
    op: "relu",
    x: at === 0 ? "image" : `value${at - 1}`,
    out: `value${at}`,
    activation: "none",
  });
  const nodes: Node[] = Array.from({ length: 20 }, (_, at) => node(at));
  nodes.push({ op: "add", a: "value3", b: "value19", out: "sum", activation: "relu" });
  const graph: Graph = { input: "image", output: "sum", nodes, shapes: new Map() };
  const image = tf.tensor4d([1, -2, 3], [1, 1, 1, 3]);
  const held: number[] = [];
  const before = tf.memory().numTensors;
  const answer = interpret(graph, image, (_, tensor) => {
    held.push(tf.memory().numTensors - before);
    return tensor;
  });
  expect(Math.max(...held)).toBeLessThan(6);
  expect([...answer.dataSync()]).toEqual([2, 0, 6]);
  answer.dispose();
  expect(image.isDisposed).toBe(false);
  image.dispose();
  expect(tf.memory().numTensors).toBe(before - 1);
});

it("leaves no tensor and puts the addon's calls back", () => {
  const layer = sequential({ conv: conv2d({ in: 3, out: 6, kernel: 3 }), ...head(6) });
  const weights = initialWeights(layer, 1);
  const before = tf.memory().numTensors;
  const first = trace(layer, weights, 8);
  expect(tf.memory().numTensors).toBe(before);
  expect(trace(layer, weights, 8).graph.nodes.length).toBe(first.graph.nodes.length);
  tf.dispose([...weights.values()]);
});

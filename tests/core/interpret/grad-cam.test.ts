import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import {
  forward,
  gradCam,
  type Layer,
  layers,
  loadBackend,
  type Model,
  ops,
  type Weights,
} from "../../../core/index.js";
import { resnet9, resnet18 } from "../../../core/models/index.js";
import { initialWeights, run } from "../../../core/nn/layer.js";
import { readSafetensors, toFloat32 } from "../../../core/nn/safetensors.js";
import { makePart } from "../../../core/parts.js";

beforeAll(async () => void (await loadBackend()));

const folder = new URL("../../golden/torch/gradcam/", import.meta.url);
const { tensors } = readSafetensors(readFileSync(new URL("gradcam.safetensors", folder)));
const { emptyClass } = JSON.parse(readFileSync(new URL("gradcam.json", folder), "utf8")) as {
  emptyClass: number;
};

/** A tensor of the file as it lies there. */
function stored(name: string): tf.Tensor {
  const tensor = tensors.get(name)!;
  return tf.tensor(toFloat32(tensor)!, [...tensor.shape]);
}

/** The golden network: two convolutions, and a linear layer on the mean of the second one's map. */
const small: Model = (() => {
  const features = layers.sequential({
    conv2: layers.conv2d({ in: 6, out: 8, kernel: 3, stride: 2, bias: true }),
  });
  const layer: Layer = {
    kind: "small",
    parts: {
      conv1: layers.conv2d({ in: 3, out: 6, kernel: 3, bias: true }),
      features: {
        kind: "relu",
        parts: features.parts,
        forward: (x, pass) => ops.relu(features.forward(x, pass)),
      },
      fc: layers.linear(8, 4),
    },
    forward(x, pass) {
      const maps = run(layer, "features", ops.relu(run(layer, "conv1", x, pass)), pass);
      return run(layer, "fc", ops.globalAveragePool(maps), pass);
    },
  };
  return { layer, stages: [["conv1"], ["features"], ["fc"]], features: "features" };
})();

function goldenWeights(): Weights {
  const conv = (name: string): tf.Tensor => tf.transpose(stored(name), [2, 3, 1, 0]);
  return new Map([
    ["conv1.weight", conv("conv1.weight")],
    ["conv1.bias", stored("conv1.bias")],
    ["features.conv2.weight", conv("conv2.weight")],
    ["features.conv2.bias", stored("conv2.bias")],
    ["fc.weight", tf.transpose(stored("fc.weight"))],
    ["fc.bias", stored("fc.bias")],
  ]);
}

function expectClose(ours: tf.Tensor, theirs: tf.Tensor, limit: number): void {
  expect(ours.shape).toEqual(theirs.shape);
  expect(tf.max(tf.abs(tf.sub(ours, theirs))).dataSync()[0]!).toBeLessThan(limit);
}

describe("gradCam", () => {
  it.each([0, 1, 2, 3])("gives PyTorch's maps for class %i, raw, normalised and at the image's size", (label) => {
    tf.tidy(() => {
      const images = stored("images") as tf.Tensor4D;
      const found = gradCam({ model: small, weights: goldenWeights(), images, classes: [label, label] });
      const theirs = (name: string): tf.Tensor => tf.gather(stored(name), label, 1);
      expectClose(found.logits, stored("logits"), 1e-5);
      expectClose(found.raw, theirs("maps"), 1e-6);
      expectClose(found.maps, theirs("normalised"), 1e-5);
      expectClose(found.upsampled, theirs("upsampled"), 1e-5);
    });
  });

  it("equals its closed form where a linear layer follows the pooling: alpha_k = w_k / pixels", () => {
    tf.tidy(() => {
      const weights = goldenWeights();
      const images = tf.randomNormal([3, 8, 8, 3], 0, 1, "float32", 7) as tf.Tensor4D;
      let activation: tf.Tensor | undefined;
      forward(small.layer, images, {
        weights,
        observe: (path, output) => (path === "features" ? (activation = output) : output),
      });
      const alpha = tf.div(tf.gather(tf.transpose(weights.get("fc.weight")!), [2, 0, 1]), 16);
      const expected = tf.relu(tf.sum(tf.mul(activation!, tf.reshape(alpha, [3, 1, 1, 8])), 3));
      expectClose(gradCam({ model: small, weights, images, classes: [2, 0, 1] }).raw, expected, 1e-6);
    });
  });

  it("is all zeros, and not NaN, where nothing speaks for the class", () => {
    tf.tidy(() => {
      const images = stored("images") as tf.Tensor4D;
      const { maps, upsampled } = gradCam({
        model: small,
        weights: goldenWeights(),
        images,
        classes: [emptyClass, emptyClass],
      });
      expect(new Set([...maps.dataSync(), ...upsampled.dataSync()])).toEqual(new Set([0]));
    });
  });

  it("looks for the class with the largest logit when none is named, and where it is told to", () => {
    tf.tidy(() => {
      const images = stored("images") as tf.Tensor4D;
      const weights = goldenWeights();
      const found = gradCam({ model: small, weights, images });
      expect([...found.classes]).toEqual([...tf.argMax(stored("logits"), 1).dataSync()]);
      const early = gradCam({ model: small, weights, images, layer: "conv1", size: [24, 20] });
      expect(early.maps.shape).toEqual([2, 12, 10]);
      expect(early.upsampled.shape).toEqual([2, 24, 20]);
    });
  });

  it.each([makePart(resnet18({ width: 4 })), makePart(resnet9({ width: 4 }))])(
    "works in $name, moves no statistic, leaves no tensor",
    (source) => {
      const through = (layer: Layer): Layer => layer;
      const model = source.build({ inputSize: 32, classes: 5, buildBlock: through, buildHead: through });
      const weights = initialWeights(model.layer, 1);
      const before = [...weights].map(([name, value]) => [name, [...value.dataSync()]] as const);
      const images = tf.randomNormal([2, 16, 16, 3], 0, 1, "float32", 3) as tf.Tensor4D;
      const count = tf.memory().numTensors;
      const { classes, ...found } = gradCam({ model, weights, images });
      expect(found.upsampled.shape).toEqual([2, 16, 16]);
      const alone = gradCam({
        model,
        weights,
        images: tf.slice(images, [1, 0, 0, 0], [1, 16, 16, 3]),
        classes: [classes[1]!],
      });
      // An image's map does not depend on its neighbours.
      expectClose(
        alone.maps,
        tf.slice(found.maps, [1, 0, 0], [1, ...found.maps.shape.slice(1)] as [number, number, number]),
        1e-5,
      );
      expect([...weights].map(([name, value]) => [name, [...value.dataSync()]])).toEqual(before);
      const extra = tf.memory().numTensors - count;
      tf.dispose(Object.values(found));
      tf.dispose([alone.logits, alone.raw, alone.maps, alone.upsampled]);
      expect(extra).toBe(8 + 1 + 4); // both results, the slice, and what expectClose computed
    },
  );

  it("says which layers there are, and refuses what has no map and classes that are not there", () => {
    tf.tidy(() => {
      const options = { model: small, weights: goldenWeights(), images: stored("images") as tf.Tensor4D };
      const refused = (more: object) => expect(() => gradCam({ ...options, ...more }));
      refused({ layer: "feature" }).toThrow('no layer "feature" (did you mean "features"?)');
      refused({ layer: "fc" }).toThrow(
        'expected a layer with output [batch, height, width, channels], but layer "fc" has [2,4]',
      );
      refused({ classes: [0, 4] }).toThrow("expected classes from 0 to 3, got 4");
      refused({ classes: [0] }).toThrow("expected 2 classes, one per image, got 1");
    });
  });
});

import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { forward, loadBackend, type Model, type Weights } from "../../core/index.js";
import { resnet18, resnet50 } from "../../core/models/index.js";
import { initialWeights, namedBuffers, namedParameters } from "../../core/nn/layer.js";
import { microNet } from "../../core/testing/index.js";
import { squeezeExcite } from "../../plugins/squeeze-excite/index.js";
import { buildModel } from "../support/build-model.js";

beforeAll(async () => void (await loadBackend()));

const parameters = (model: Model): number =>
  [...namedParameters(model.layer).values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

describe("squeeze-excite", () => {
  it("adds 2,530,992 parameters to ResNet-50: 26,243,924 with the ImageNet stem", () => {
    const source = resnet50({ stem: "imagenet" });
    expect(parameters(buildModel(source, squeezeExcite()))).toBe(26_243_924);
    expect(parameters(buildModel(source, squeezeExcite())) - parameters(buildModel(source))).toBe(2_530_992);
  });

  it("names its parts se.fc1 and se.fc2 at the end of basic blocks too, renames nothing, and decays kernels only", () => {
    const [plain, excited] = [buildModel(resnet18()), buildModel(resnet18(), squeezeExcite())].map(({ layer }) =>
      namedParameters(layer),
    );
    const added = [...excited!].filter(([name]) => !plain!.has(name));
    expect([...plain!.keys()].every((name) => excited!.has(name))).toBe(true);
    expect(
      added.filter(([name]) => name.startsWith("layer2.1")).map(([name, { shape, decays }]) => [name, shape, decays]),
    ).toEqual([
      ["layer2.1.se.fc1.weight", [1, 1, 128, 8], true],
      ["layer2.1.se.fc1.bias", [8], false],
      ["layer2.1.se.fc2.weight", [1, 1, 8, 128], true],
      ["layer2.1.se.fc2.bias", [128], false],
    ]);
  });

  it("has the names and shapes of PyTorch's SE-ResNet-18, the middle exactly C / 16 wide", () => {
    const path = new URL("../golden/torch/states/resnet18-cifar-se.json", import.meta.url);
    const state = JSON.parse(readFileSync(path, "utf8")) as Record<string, number[]>;
    const { layer } = buildModel(resnet18(), squeezeExcite());
    const shapes = [...namedParameters(layer), ...namedBuffers(layer)].map(([name, { shape }]) => {
      const [a, b, c, d] = shape;
      if (shape.length === 4) return [name, [d, c, a, b]];
      return [name, shape.length === 2 ? [b, a] : shape];
    });
    expect(Object.fromEntries(shapes)).toEqual(state);
  });

  it("weighs the branch, not the shortcut: an open gate changes nothing, a gate of zeros halves the branch", () => {
    tf.tidy(() => {
      const { layer } = buildModel(microNet({ norm: false }), squeezeExcite());
      const weights = initialWeights(layer, 1);
      const x = tf.randomUniform([2, 8, 8, 3], -1, 1, "float32", 1);
      const run = (changes: Record<string, tf.Tensor>): tf.Tensor =>
        forward(layer, x, { weights: new Map([...weights, ...Object.entries(changes)]) });
      const gate = (bias: number): Record<string, tf.Tensor> => ({
        "block.se.fc2.weight": tf.zeros([1, 1, 1, 16]),
        "block.se.fc2.bias": tf.fill([16], bias),
      });
      const plain = forward(buildModel(microNet({ norm: false })).layer, x, { weights });
      const halved: Weights = new Map([
        ...weights,
        ["block.conv.weight", tf.mul(weights.get("block.conv.weight")!, 0.5)],
      ]);
      const far = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
      expect(far(run(gate(30)), plain)).toBeLessThan(1e-6);
      expect(
        far(run(gate(0)), forward(buildModel(microNet({ norm: false })).layer, x, { weights: halved })),
      ).toBeLessThan(1e-6);
      expect(far(run(gate(0)), plain)).toBeGreaterThan(1e-3);
    });
  });

  it("refuses channels that the reduction does not divide, naming block and plugin", () => {
    expect(() => buildModel(microNet({ width: 24 }), squeezeExcite())).toThrow(
      'Plugin "squeeze-excite" failed in hook "buildBlock": block "block" has 24 channels, which 16 does not divide.',
    );
  });
});

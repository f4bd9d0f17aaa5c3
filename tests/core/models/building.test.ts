/** How networks are built: options, what plugins are asked, and what the loop is told. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import {
  efficientNetB0,
  efficientNetLite0,
  mobileNetV3Large,
  mobileNetV3Small,
  modelByName,
  models,
  resnet9,
  resnet18,
  resnet50,
  wrn,
} from "../../../core/models/index.js";
import { valueAndGradients } from "../../../core/nn/backward.js";
import { forward, initialWeights, type Layer, namedParameters, zeroWeights } from "../../../core/nn/layer.js";
import { activation, append, linear, sequential } from "../../../core/nn/layers.js";
import type { BlockInfo, HeadInfo, Model, ModelSource } from "../../../core/nn/model.js";
import * as ops from "../../../core/nn/ops.js";
import { makePart } from "../../../core/parts.js";
import { relativeDifference } from "../../golden/torch/read.js";
import { plain } from "../../support/golden-networks.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

const all: [string, ModelSource][] = [
  ...(["resnet18", "resnet34", "resnet50", "resnet101"] as const).map(
    (name) => [name, makePart(models[name]({ width: 4 }))] as [string, ModelSource],
  ),
  ["resnet18, ImageNet stem", makePart(resnet18({ width: 4, stem: "imagenet" }))],
  ["wrn", makePart(wrn({ depth: 10, width: 1 }))],
  ["resnet9", makePart(resnet9({ width: 4 }))],
  ["efficientnet-b0", makePart(efficientNetB0())],
  ["efficientnet-lite0", makePart(efficientNetLite0())],
  ["mobilenet-v3-small", makePart(mobileNetV3Small())],
  ["mobilenet-v3-large", makePart(mobileNetV3Large())],
];

describe("options", () => {
  it.each<[string, ModelSource, unknown]>([
    ["resnet18", makePart(resnet18()), { width: 64, stem: "auto", zeroInitResidual: false }],
    ["resnet50", makePart(resnet50({ stem: "imagenet" })), { width: 64, stem: "imagenet", zeroInitResidual: false }],
    ["wrn", makePart(wrn()), { depth: 16, width: 4 }],
    ["resnet9", makePart(resnet9()), { width: 64 }],
    ["efficientnet-b0", makePart(efficientNetB0()), { stem: "auto" }],
  ])("are filled in, and a record of them makes the same network: %s", (name, source, options) => {
    expect(source).toMatchObject({ name, options });
    const again = makePart(modelByName(source.name, JSON.parse(JSON.stringify(source.options))));
    expect(again.options).toEqual(options);
    const names = (each: ModelSource): string[] => [...namedParameters(each.build(plain(10)).layer).keys()];
    expect(names(again)).toEqual(names(source));
  });

  it("are checked strictly", () => {
    expect(() => makePart(resnet18({ widht: 16 } as never))).toThrow(
      'Model "resnet18": unknown option "widht" (did you mean "width"?).',
    );
    expect(() => makePart(resnet18({ width: 0 }))).toThrow(/"width"/);
    expect(() => makePart(resnet18({ stem: "mnist" as never }))).toThrow(/"stem".*"cifar".*"imagenet".*got "mnist"/);
    expect(() => makePart(wrn({ depth: 17 }))).toThrow(/"depth" expected 6 n \+ 4.*got 17/);
    expect(() => makePart(wrn({ depth: 4 }))).toThrow(/"depth" expected 6 n \+ 4/);
    expect(() => makePart(resnet9({ stem: "cifar" } as never))).toThrow(/unknown option "stem"/);
    expect(() => makePart(efficientNetB0({ width: 2 } as never))).toThrow(/unknown option "width"/);
  });

  it("name a model that is there", () => {
    expect(() => makePart(modelByName("ResNet-50"))).toThrow(
      'There is no model "ResNet-50" (did you mean "resnet50"?).',
    );
    expect(() => makePart(modelByName("toString"))).toThrow(/no model "toString"/);
    expect(() => makePart(modelByName("wrn", { depth: "16" }))).toThrow(/"depth"/);
    for (const [name, factory] of Object.entries(models)) expect(factory().name).toBe(name);
  });
});

describe("buildBlock", () => {
  const blocksOf = (source: ModelSource): BlockInfo[] => {
    const seen: BlockInfo[] = [];
    source.build({ ...plain(10), buildBlock: (branch, info) => (seen.push(info), branch) });
    return seen;
  };

  it("is asked for every branch, from the input on", () => {
    expect(blocksOf(makePart(resnet50({ width: 4 }))).map(({ name, channels }) => `${name} ${channels}`)).toEqual([
      ...[0, 1, 2].map((place) => `layer1.${place} 16`),
      ...[0, 1, 2, 3].map((place) => `layer2.${place} 32`),
      ...[0, 1, 2, 3, 4, 5].map((place) => `layer3.${place} 64`),
      ...[0, 1, 2].map((place) => `layer4.${place} 128`),
    ]);
    for (const source of [
      makePart(resnet18({ width: 4 })),
      makePart(wrn({ depth: 16, width: 1 })),
      makePart(resnet9({ width: 4 })),
    ]) {
      const blocks = blocksOf(source);
      expect(blocks.map(({ index }) => index)).toEqual(blocks.map((_, place) => place));
      expect(new Set(blocks.map(({ count }) => count))).toEqual(new Set([blocks.length]));
    }
    expect(blocksOf(makePart(wrn({ depth: 10, width: 2 }))).map(({ name, channels }) => [name, channels])).toEqual([
      ["block1.layer.0", 32],
      ["block2.layer.0", 64],
      ["block3.layer.0", 128],
    ]);
  });

  it("counts all sixteen blocks of EfficientNet, and is asked only for those with a way past them", () => {
    const blocks = blocksOf(makePart(efficientNetB0()));
    expect(blocks.map(({ name }) => name)).toEqual(
      ["1.1", "2.1", "3.1", "3.2", "4.1", "4.2", "5.1", "5.2", "5.3"].map((place) => `blocks.${place}`),
    );
    expect(blocks.map(({ index }) => index)).toEqual([2, 4, 6, 7, 9, 10, 12, 13, 14]);
    expect(blocks.every(({ count }) => count === 16)).toBe(true);
  });

  it("is asked for the blocks of MobileNetV3 that have a way past them, the first one of the large included", () => {
    const names = (source: ModelSource): string[] => blocksOf(source).map(({ name }) => name.replace("blocks.", ""));
    expect(names(makePart(mobileNetV3Small()))).toEqual(["1.1", "2.1", "2.2", "3.1", "4.1", "4.2"]);
    expect(names(makePart(mobileNetV3Large()))).toEqual([
      "0.0",
      "1.1",
      ...["2.1", "2.2", "3.1", "3.2", "3.3", "4.1", "5.1", "5.2"],
    ]);
  });

  /** A branch that ends in zeros. */
  const silenced = (branch: Layer): Layer => append(branch, "none", activation("none", tf.zerosLike));

  it.each<[string, ModelSource, string, string]>([
    ["resnet18", makePart(resnet18({ width: 4 })), "layer1.0", "layer1.1"],
    ["resnet50", makePart(resnet50({ width: 4 })), "layer3.4", "layer3.5"],
    ["wrn", makePart(wrn({ depth: 16, width: 1 })), "block2.layer.0", "block2.layer.1"],
    ["efficientnet-b0", makePart(efficientNetB0()), "blocks.4.1", "blocks.4.2"],
  ])("puts what it adds at the end of the branch, before the add: %s", (_, source, before, after) => {
    const outputs = outputsOf(source.build({ ...plain(3), buildBlock: silenced }));
    expect(outputs.get(after)).toEqual(outputs.get(before));
    expect(outputs.get(before)!.some((each) => each !== 0)).toBe(true);
  });

  it("gives what it adds names in the block, where PyTorch would have them", () => {
    const { layer } = makePart(resnet18({ width: 4 })).build({
      ...plain(3),
      buildBlock: (branch, { channels }) => append(branch, "se", sequential({ fc1: linear(channels, 1) })),
    });
    const names = [...namedParameters(layer).keys()].filter((name) => name.startsWith("layer2.0."));
    expect(names.slice(-5)).toEqual([
      "layer2.0.se.fc1.weight",
      "layer2.0.se.fc1.bias",
      "layer2.0.downsample.0.weight",
      "layer2.0.downsample.1.weight",
      "layer2.0.downsample.1.bias",
    ]);
  });

  it.each<[string, string, ModelSource]>([
    ["resnet18", "downsample", makePart(resnet18())],
    ["wrn", "bn1", makePart(wrn())],
    ["wrn", "convShortcut", makePart(wrn())],
    ["efficientnet-b0", "se", makePart(efficientNetB0())],
  ])("refuses a name that the block has: %s %s", (_, name, source) => {
    const build = (): unknown =>
      source.build({
        ...plain(3),
        buildBlock: (branch) => append(branch, name, activation("none", tf.zerosLike)),
      });
    expect(build).toThrow(new RegExp(`"${name}"`));
  });

  it("is what zeroInitResidual does to first values", () => {
    const outputs = outputsOf(makePart(resnet18({ width: 4, zeroInitResidual: true })).build(plain(3)));
    expect(outputs.get("layer1.1")).toEqual(outputs.get("layer1.0"));
    const plainOutputs = outputsOf(makePart(resnet18({ width: 4 })).build(plain(3)));
    expect(plainOutputs.get("layer1.1")).not.toEqual(plainOutputs.get("layer1.0"));
  });
});

describe("buildHead", () => {
  it.each<[string, ModelSource, number]>([
    ["resnet18", makePart(resnet18({ width: 4 })), 32],
    ["resnet50", makePart(resnet50({ width: 4 })), 128],
    ["wrn", makePart(wrn({ depth: 10, width: 3 })), 192],
    ["resnet9", makePart(resnet9({ width: 4 })), 32],
    ["efficientnet-b0", makePart(efficientNetB0()), 1280],
    ["mobilenet-v3-small", makePart(mobileNetV3Small()), 1024],
  ])("stands between pooled features and classifier: %s", (_, source, features) => {
    const asked: HeadInfo[] = [];
    const model = source.build({
      ...plain(7),
      buildHead: (head, info) => {
        asked.push(info);
        return append(append(head, "neck", linear(features, features)), "none", activation("none", tf.zerosLike));
      },
    });
    expect(asked).toEqual([{ features, classes: 7 }]);
    expect([...namedParameters(model.layer).keys()]).toContain("head.neck.weight");
    // Nothing but the classifier's bias is left of the logits.
    const weights = initialWeights(model.layer, 1);
    const classifier = model.stages.at(-1)!.at(-1)!;
    const bias = weights.get(`${classifier}.bias`) ?? tf.zeros([7]);
    const logits = forward(model.layer, tf.ones([2, 32, 32, 3]), { weights });
    expect([...logits.dataSync()]).toEqual([...bias.dataSync(), ...bias.dataSync()]);
  });
});

describe("what the loop is told", () => {
  const withHead = (source: ModelSource): Model =>
    source.build({
      ...plain(3),
      buildHead: (head, { features }) => append(head, "neck", linear(features, features)),
    });

  it.each(all)("stages hold every parameter once: %s", (_, source) => {
    const { layer, stages } = withHead(source);
    for (const name of namedParameters(layer).keys()) {
      expect(
        stages.flat().filter((stage) => name.startsWith(`${stage}.`)),
        name,
      ).toHaveLength(1);
    }
    expect(stages.at(-1)![0]).toBe("head");
  });

  // MobileNetV3 has a layer between pooling and head.
  const pooledHeads = all.filter(([name]) => !name.startsWith("mobilenet"));
  it.each(pooledHeads)("features are the last map before pooling: %s", (name, source) => {
    const model = source.build(plain(3));
    const weights = initialWeights(model.layer, 1);
    let map: tf.Tensor | undefined;
    let pooled: tf.Tensor | undefined;
    forward(model.layer, tf.randomNormal([2, 32, 32, 3], 0, 1, "float32", 1), {
      weights,
      observe: (path, output) => {
        if (path === model.features) map = output;
        if (path === "head") pooled = output;
        return output;
      },
    });
    expect(map!.rank).toBe(4);
    const again = name === "resnet9" ? tf.max(map!, [1, 2]) : tf.mean(map!, [1, 2]);
    expect(relativeDifference(pooled!.dataSync(), again.dataSync())).toBeLessThan(1e-6);
  });

  it.each(all.filter(([name]) => name.startsWith("mobilenet")))("features are the last map: %s", (_, source) => {
    const model = source.build(plain(3));
    let shape: number[] | undefined;
    const observe = (path: string, output: tf.Tensor): tf.Tensor => {
      if (path === model.features) shape = output.shape;
      return output;
    };
    forward(model.layer, tf.ones([1, 64, 64, 3]), { weights: initialWeights(model.layer, 1), observe });
    expect(shape?.slice(0, 3)).toEqual([1, 4, 4]); // built for 32 px: 1/16
  });

  it.each([
    [32, "auto", 2],
    [95, "auto", 6],
    [96, "auto", 3],
    [96, "cifar", 6],
  ] as const)("a stem follows the size of the images, unless it is given: %i px, %s", (size, stem, last) => {
    const sizes = ([efficientNetB0, mobileNetV3Small] as const).map((network) => {
      const { layer, features } = makePart(network({ stem })).build({ ...plain(3), inputSize: size });
      let side = 0;
      const observe = (path: string, output: tf.Tensor): tf.Tensor => {
        if (path === features) side = output.shape[1]!;
        return output;
      };
      tf.tidy(() => forward(layer, tf.zeros([1, size, size, 3]), { weights: zeroWeights(layer), observe }));
      return side;
    });
    expect(sizes).toEqual([last, last]);
  });

  it("pretrained weights belong to the stem of ImageNet", () => {
    const side = (options: object): number => {
      const { layer } = makePart(resnet18({ width: 4, ...options })).build(plain(3));
      return namedParameters(layer).get("conv1.weight")!.shape[0]!;
    };
    expect([side({}), side({ pretrained: "a/b" }), side({ pretrained: "a/b", stem: "cifar" })]).toEqual([3, 7, 3]);
  });

  it.each(all)("every parameter gets a gradient: %s", (_, source) => {
    const { layer } = withHead(source);
    const weights = initialWeights(layer, 1);
    const names = [...namedParameters(layer).keys()];
    const x = tf.randomNormal([4, 32, 32, 3], 0, 1, "float32", 1);
    const targets = tf.tensor2d([1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5, 0.5, 0], [4, 3]);
    const { gradients } = valueAndGradients(
      () => ops.softCrossEntropy(forward(layer, x, { weights, training: true }), targets) as tf.Scalar,
      names.map((name) => weights.get(name)!),
    );
    for (const [index, name] of names.entries()) {
      const size = tf.norm(gradients[index]!).dataSync()[0]!;
      expect(Number.isFinite(size) && size > 0, name).toBe(true);
    }
  });
});

/** Every part's output by its path, for one image. */
function outputsOf({ layer }: Model): Map<string, number[]> {
  const outputs = new Map<string, number[]>();
  forward(layer, tf.randomNormal([1, 32, 32, 3], 0, 1, "float32", 1), {
    weights: initialWeights(layer, 1),
    observe: (path, output) => (outputs.set(path, [...output.dataSync()]), output),
  });
  return outputs;
}

/** Parameters, names and costs of every network against torchvision's and timm's. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { forward, type Layer, namedBuffers, namedParameters } from "../../../core/nn/layer.js";
import { torchPlaces } from "../../../core/nn/weights-file.js";
import { goldenJson } from "../../golden/torch/read.js";
import { buildGolden, type GoldenNetwork } from "../../support/golden-networks.js";

interface Count extends GoldenNetwork {
  parameters: number;
  decayed: number;
  size: number;
  multiplyAdds: number;
}

/**
 * Those whose multiply-adds are counted: 555 M, 1.298 G, 4.087 G, 393 M, 379 M, 385 M, 57 M and 217 M an image, and with
 * SE.
 */
const countedNames = new Set([
  "resnet18 cifar",
  "resnet18 cifar se",
  "resnet50 cifar",
  "resnet50 imagenet",
  "wrn-16-4",
  "resnet9",
  "efficientnet-b0",
  "mobilenet-v3-small",
  "mobilenet-v3-large",
]);

const { models } = goldenJson<{ models: Count[] }>("parameter-counts.json");
const shortName = ({ model, stem, squeezeExcite }: Count): string =>
  [model, stem, squeezeExcite && "se"].filter(Boolean).join(" ");
const nameOf = (each: Count): string => `${shortName(each)}, ${each.classes} classes`;

function countParameters(layer: Layer): { parameters: number; decayed: number } {
  let parameters = 0;
  let decayed = 0;
  for (const { shape, decays } of namedParameters(layer).values()) {
    const size = tf.util.sizeFromShape([...shape]);
    parameters += size;
    if (decays) decayed += size;
  }
  return { parameters, decayed };
}

describe("parameters", () => {
  it.each(models.map((each) => [nameOf(each), each] as const))("%s", (_, golden) => {
    const { parameters, decayed } = golden;
    expect(countParameters(buildGolden(golden).layer)).toEqual({ parameters, decayed });
  });

  it("are the published numbers", () => {
    const count = (network: GoldenNetwork): number => countParameters(buildGolden(network).layer).parameters;
    expect(count({ model: "resnet50", stem: "imagenet", classes: 1000 })).toBe(25_557_032);
    expect(count({ model: "resnet50", stem: "imagenet", squeezeExcite: true, classes: 100 })).toBe(26_243_924);
    expect(count({ model: "resnet18", stem: "cifar", classes: 100 })).toBe(11_220_132);
    expect(count({ model: "wrn-28-10", classes: 100 })).toBe(36_536_884);
    expect(count({ model: "efficientnet-b0", classes: 100 })).toBe(4_135_648);
  });
});

describe("names and shapes", () => {
  it.each<[string, GoldenNetwork]>([
    ["resnet18-cifar", { model: "resnet18", stem: "cifar", classes: 100 }],
    ["resnet18-cifar-se", { model: "resnet18", stem: "cifar", squeezeExcite: true, classes: 100 }],
    ["resnet50-cifar", { model: "resnet50", stem: "cifar", classes: 100 }],
    ["wrn-16-4", { model: "wrn-16-4", classes: 100 }],
    ["resnet9", { model: "resnet9", classes: 100 }],
    ["efficientnet-b0", { model: "efficientnet-b0", classes: 100 }],
    ["mobilenet-v3-small", { model: "mobilenet-v3-small", classes: 100 }],
    ["mobilenet-v3-large", { model: "mobilenet-v3-large", classes: 100 }],
  ])("%s", (file, network) => {
    const golden = goldenJson<Record<string, number[]>>(`states/${file}.json`);
    const { layer } = buildGolden(network);
    expect(Object.fromEntries([...torchPlaces(layer)].map(([name, { shape }]) => [name, shape]))).toEqual(golden);
    // In PyTorch's order too, in which it shows parameters and groups them.
    const isBuffer = (name: string): boolean => /running_(mean|var)$/.test(name);
    const names = Object.keys(golden);
    expect([...namedParameters(layer).keys()]).toEqual(names.filter((name) => !isBuffer(name)));
    expect([...namedBuffers(layer).keys()]).toEqual(names.filter(isBuffer));
  });
});

describe("multiply-adds", () => {
  beforeAll(() => loadBackend({ name: "tensorflow" }));

  // Counting runs the network; these together cover every kind of layer.
  const counted = models.filter((each) => each.classes === 100 && countedNames.has(shortName(each)));
  it.each(counted.map((each) => [nameOf(each), each] as const))("%s", (_, golden) => {
    const { layer } = buildGolden(golden);
    const batch = golden.size > 100 ? 1 : 2;
    let total = 0;
    tf.tidy(() => {
      const weights = new Map(
        [...namedParameters(layer), ...namedBuffers(layer)].map(([name, { shape }]) => [name, tf.zeros([...shape])]),
      );
      forward(layer, tf.zeros([batch, golden.size, golden.size, 3]), {
        weights,
        onCount: (_path, multiplyAdds) => {
          total += multiplyAdds;
        },
      });
    });
    expect(total / batch).toBe(golden.multiplyAdds);
  });

  it("counts them all", () => expect(counted).toHaveLength(countedNames.size));
});

/**
 * Each preset: what it is made of, in a snapshot that a change of the recipe has to change too, and two real
 * steps.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { configRecord, loadBackend, Trainer } from "../../core/index.js";
import { makePlan, type Plan } from "../../core/loop/plan.js";
import { efficientNetLite0, resnet101 } from "../../core/models/index.js";
import { initialWeights } from "../../core/nn/layer.js";
import { weightsToSafetensors } from "../../core/nn/weights-file.js";
import { makePart } from "../../core/parts.js";
import { cifar100Strong, type PresetOptions, presets, transfer } from "../../presets/index.js";
import { miniCifar100, temporaryFolder } from "../support/mini-cifar.js";

const data = join(temporaryFolder(), "cifar");
const images = join(temporaryFolder(), "images");
const weights = join(temporaryFolder(), "lite0.safetensors");

beforeAll(async () => {
  await loadBackend();
  mkdirSync(data);
  for (const [name, bytes] of Object.entries(miniCifar100())) writeFileSync(join(data, name), bytes);
  for (const [hue, name] of ["cat", "dog"].entries()) {
    mkdirSync(join(images, name), { recursive: true });
    for (let place = 0; place < 10; place++) {
      const background = { r: 250 * hue, g: 20 * place, b: 99 };
      const image = sharp({ create: { width: 40, height: 30, channels: 3, background } });
      await image.jpeg().toFile(join(images, name, `${place}.jpg`));
    }
  }
  // What a pretrained file has: the same network with another head.
  const { layer } = makePart(efficientNetLite0({ stem: "imagenet" })).build({
    inputSize: 32,
    classes: 7,
    buildBlock: (branch) => branch,
    buildHead: (head) => head,
  });
  const values = initialWeights(layer, 7);
  writeFileSync(weights, weightsToSafetensors(values, layer, {}));
  for (const value of values.values()) value.dispose();
});

type Name = keyof typeof presets;
/** Where each preset's data lies here; quickstart draws its own. */
const options: Record<Name, PresetOptions> = {
  quickstart: {},
  "cifar100-small": { data },
  "cifar100-fast": { data },
  "cifar100-fast-wide": { data },
  "cifar100-fast-deep": { data },
  "cifar100-baseline": { data },
  "cifar100-native": { data },
  "cifar100-strong": { data },
  "cifar100-small-mobile": { data },
  "cifar100-augmented": { data },
  transfer: { data: images, weights },
  "from-scratch": { data: images },
};

const planOf = async (name: Name): Promise<Plan> => {
  const trainer = new Trainer(presets[name].create(options[name]));
  return makePlan(trainer, await trainer.prepare());
};
/** What does not depend on the size of the data. */
const essence = ({
  parameters,
  multiplyAdds,
  inputSize,
  batchSize,
  microBatchesPerStep,
  epochs,
  taps,
  hints,
}: Plan) => ({
  figures:
    `${parameters} parameters, ${multiplyAdds} multiply-adds at ${inputSize} px, ` +
    `${microBatchesPerStep} × ${batchSize}, ${epochs} epochs`,
  taps: taps.map(({ hook, plugin, stage }) => `${hook}: ${plugin}${stage === "normal" ? "" : ` (${stage})`}`),
  hints,
});

describe.each(Object.keys(presets) as Name[])("%s", (name) => {
  it("names its run after itself and takes its options", () => {
    const config = presets[name].create({ ...options[name], batchSize: 3 });
    expect(config).toMatchObject({ name, batchSize: 3 });
    if (name === "quickstart") return;
    expect(presets[name].create({ ...options[name], data: "here" }).data.options.path).toBe("here");
  });

  it("is the recipe that it was", async () => {
    const { data: _, ...recipe } = configRecord(new Trainer(presets[name].create(options[name])).config);
    recipe.plugins = recipe.plugins.map((plugin) =>
      plugin.name === "finetune" ? { ...plugin, options: { ...plugin.options, path: "(given)" } } : plugin,
    );
    expect({ ...recipe, plan: essence(await planOf(name)) }).toMatchSnapshot();
  });

  // Two of the largest networks at 224 px: tests/long/presets.test.ts.
  if (name === "cifar100-strong" || name === "cifar100-augmented") return;
  it("trains", async () => {
    const recipe = presets[name].create({ ...options[name], batchSize: 4 });
    const config = {
      ...recipe,
      // One image of a class leaves none for validation, which early-stopping needs.
      plugins: recipe.plugins!.filter((plugin) => plugin.name !== "early-stopping"),
      limitTrain: 16,
      limitTest: 4,
      holdout: 0.25,
      maxSteps: 2,
    };
    const { summary } = await new Trainer(config).fit();
    expect(summary).toMatchObject({ preset: name, steps: 2, stopReason: "max steps" });
    // A folder of images has no test split of its own here.
    expect((summary.test ?? summary.validation)!.loss).toBeGreaterThan(0);
  });
});

describe("a preset that accumulates", () => {
  it.each([
    [128, 4],
    [32, 16],
    [100, 5],
    [2048, 1],
  ])("keeps about 512 images a step with micro-batches of %i", (batchSize, factor) => {
    const { plugins } = presets["cifar100-strong"].create({ batchSize });
    expect(plugins!.find(({ name }) => name === "gradient-accumulation")!.options).toEqual({ factor });
  });
});

describe("cifar100-augmented and cifar100-native", () => {
  const recordOf = (name: Name) => configRecord(new Trainer(presets[name].create(options[name])).config);

  it("differ from cifar100-strong in what their headers say, and in no option of anything else", () => {
    const strong = recordOf("cifar100-strong");
    const native = recordOf("cifar100-native");
    expect(strong.model.options).toMatchObject({ stem: "imagenet" });
    expect(native.model.options).toMatchObject({ stem: "cifar" });
    expect({ ...native, name: strong.name, model: strong.model, inputSize: 224 }).toEqual(strong);

    const augmented = recordOf("cifar100-augmented");
    const gentle = augmented.plugins.filter(({ name }) => name === "random-affine" || name === "color-jitter");
    expect(gentle).toHaveLength(2);
    const plugins = strong.plugins.flatMap((plugin) => (plugin.name === "auto-augment" ? gentle : [plugin]));
    expect({ ...augmented, name: strong.name }).toEqual({ ...strong, plugins });
  });

  it("take a deeper or wider network in one argument", () => {
    const { model } = cifar100Strong({ data, model: resnet101({ stem: "imagenet", width: 128 }) });
    expect(model.options).toMatchObject({ width: 128 });
  });
});

describe("presets for your own images", () => {
  it.each(["transfer", "from-scratch"] as const)("need a folder: %s", (name) => {
    expect(() => presets[name].create({})).toThrow(/--data FOLDER/);
  });

  it("transfer downloads its weights where none are given", () => {
    const { model, plugins } = presets.transfer.create({ data: images });
    expect(model.options).toEqual({ pretrained: "timm/tf_efficientnet_lite0.in1k" });
    expect(plugins!.map(({ name }) => name)).not.toContain("finetune");
  });

  it("transfer trains the head alone, or every stage with slower ones at the input", () => {
    const pluginsOf = (backbone?: "frozen" | "trains") =>
      new Map(transfer({ data: images, weights, backbone }).plugins!.map(({ name, options }) => [name, options]));
    expect(pluginsOf().get("differential-lr")).toEqual({ freeze: "backbone" });
    expect(pluginsOf().has("ema")).toBe(false);
    expect(pluginsOf("trains").get("differential-lr")).toMatchObject({ bottom: 1e-5, head: 1e-3, freezeNorms: true });
    expect(pluginsOf("trains").has("ema")).toBe(true);
  });
});

/**
 * EfficientNet-B0 (Tan and Le 2019) and the Lite networks for phones (Google 2020), with timm's names. B0 pads and normalises
 * as timm's `efficientnet_b0`; the Lite ones as its `tf_efficientnet_lite0` to `2`, whose weights were trained in TensorFlow.
 */
import { z } from "zod";
import type { Layer } from "../nn/layer.js";
import { conv2d, identity, linear, sequential } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { runAll } from "./block.js";
import {
  activeNorm,
  type BlockShape,
  type BlockStyle,
  invertedResidual,
  residualBlock,
  separable,
} from "./inverted-residual.js";
import { pretrainedOption, startingWith } from "./pretrained.js";
import { stemOf, stemOption } from "./stem.js";

const efficientNetOptions = z.strictObject({
  stem: stemOption('"imagenet" halves the size at once and ends at 1/32; "cifar" does not, and ends at 1/16'),
  pretrained: pretrainedOption,
});

export type EfficientNetOptions = z.input<typeof efficientNetOptions>;

interface Stage {
  readonly expansion: number;
  readonly out: number;
  readonly repeats: number;
  readonly stride: number;
  readonly kernel: number;
}

/** Table 1 of the paper. */
const stagesOfB0: readonly Stage[] = [
  { expansion: 1, out: 16, repeats: 1, stride: 1, kernel: 3 },
  { expansion: 6, out: 24, repeats: 2, stride: 2, kernel: 3 },
  { expansion: 6, out: 40, repeats: 2, stride: 2, kernel: 5 },
  { expansion: 6, out: 80, repeats: 3, stride: 2, kernel: 3 },
  { expansion: 6, out: 112, repeats: 3, stride: 1, kernel: 5 },
  { expansion: 6, out: 192, repeats: 4, stride: 2, kernel: 5 },
  { expansion: 6, out: 320, repeats: 1, stride: 1, kernel: 3 },
];
const stemChannels = 32;
const features = 1280;

/** What the networks of this family differ in. */
interface Variant extends BlockStyle {
  readonly name: string;
  readonly stages: readonly Stage[];
}

const b0: Variant = {
  name: "efficientnet-b0",
  stages: stagesOfB0,
  squeeze: { activation: ops.silu },
  activation: ops.silu,
  epsilon: 1e-5,
};

/** No squeeze-and-excitation and ReLU6 in place of SiLU, so that int8 keeps the accuracy; stem and head are never scaled. */
const lite = (number: 0 | 1 | 2, channels: readonly number[], repeats: readonly number[]): Variant => ({
  name: `efficientnet-lite${number}`,
  stages: stagesOfB0.map((stage, at) => ({ ...stage, out: channels[at]!, repeats: repeats[at]! })),
  activation: ops.relu6,
  epsilon: 1e-3,
  padding: "same",
});
const lite0 = lite(0, [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]);
const lite1 = lite(1, [16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]);
const lite2 = lite(2, [16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]);

const define = (variant: Variant): ((options?: EfficientNetOptions) => Part<ModelSource>) =>
  partFactory("model", variant.name, efficientNetOptions, (options) => ({
    name: variant.name,
    options,
    build: (context) => build(variant, options, context),
    ...startingWith(options.pretrained),
  }));

/** 4,135,648 parameters at 100 classes. Random initial values of the classifier are PyTorch's, not timm's. */
export const efficientNetB0 = define(b0);
/** 3,499,108 parameters at 100 classes; 385 M multiply-adds for an image of 224 pixels, the size it was trained at. */
export const efficientNetLite0 = define(lite0);
/** 4,263,780 parameters at 100 classes; trained at 240 pixels. */
export const efficientNetLite1 = define(lite1);
/** 4,939,172 parameters at 100 classes; trained at 260 pixels. */
export const efficientNetLite2 = define(lite2);

function build(variant: Variant, options: z.output<typeof efficientNetOptions>, context: BuildContext): Model {
  const { padding, squeeze } = variant;
  const stem = stemOf(options, context);
  const count = variant.stages.reduce((sum, stage) => sum + stage.repeats, 0);
  let index = 0;
  let channels = stemChannels;

  const stages = variant.stages.map(({ expansion, out, repeats, stride, kernel }, level) =>
    sequential(
      Array.from({ length: repeats }, (_, place) => {
        // The squeeze is a quarter of the block's input, not of what the expansion made of it.
        const squeezed = squeeze && Math.round(channels / 4);
        const wide = channels * expansion;
        const shape: BlockShape = { in: channels, out, kernel, wide, squeezed, stride: place === 0 ? stride : 1 };
        channels = out;
        const info = { name: `blocks.${level}.${place}`, index: index++, count, channels: out };
        const plain = expansion === 1 ? separable(shape, variant) : invertedResidual(shape, variant);
        // A block that changes size or channels has no add, so no branch that a plugin could drop or weigh.
        return shape.stride === 1 && shape.in === out ? residualBlock(context.buildBlock(plain, info)) : plain;
      }),
    ),
  );

  const layer: Layer = {
    kind: variant.name,
    parts: {
      conv_stem: conv2d({ in: 3, out: stemChannels, kernel: 3, stride: stem === "imagenet" ? 2 : 1, padding }),
      bn1: activeNorm(stemChannels, variant),
      blocks: sequential(stages),
      conv_head: conv2d({ in: channels, out: features, kernel: 1 }),
      bn2: activeNorm(features, variant),
      head: context.buildHead(identity, { features, classes: context.classes }),
      classifier: linear(features, context.classes),
    },
    forward(x, pass) {
      const maps = runAll(layer, ["conv_stem", "bn1", "blocks", "conv_head", "bn2"], x, pass);
      return runAll(layer, ["head", "classifier"], ops.globalAveragePool(maps), pass);
    },
  };
  return {
    layer,
    stages: [
      ["conv_stem", "bn1"],
      ...stages.map((_, level) => [`blocks.${level}`]),
      ["conv_head", "bn2"],
      ["head", "classifier"],
    ],
    features: "bn2",
  };
}

/** MobileNetV3 (Howard et al. 2019) at full width, with timm's names: its `mobilenetv3_small_100` and `mobilenetv3_large_100`. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { conv2d, identity, linear, sequential } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { runAll } from "./block.js";
import { activeNorm, type BlockStyle, invertedResidual, residualBlock, separable } from "./inverted-residual.js";
import { pretrainedOption, startingWith } from "./pretrained.js";
import { stemOf, stemOption } from "./stem.js";

const mobileNetOptions = z.strictObject({
  stem: stemOption('"imagenet" halves the size at once and ends at 1/32; "cifar" does not, and ends at 1/16'),
  pretrained: pretrainedOption,
});

export type MobileNetV3Options = z.input<typeof mobileNetOptions>;

interface Stage {
  readonly kernel: number;
  readonly out: number;
  readonly stride: number;
  /** Expansion of each block; 1 is the separable block, which has none. */
  readonly expansions: readonly number[];
  readonly squeezes: boolean;
  readonly activation: BlockStyle["activation"];
}

interface Variant {
  readonly name: string;
  readonly stages: readonly Stage[];
  /** Channels of the last map, and of the layer between pooling and classifier. */
  readonly last: number;
  readonly features: number;
}

type Row = [
  kernel: number,
  out: number,
  stride: number,
  expansions: number[],
  squeezes: boolean,
  ...Stage["activation"][],
];
const stage = ([kernel, out, stride, expansions, squeezes, activation = ops.hardSwish]: Row): Stage => ({
  kernel,
  out,
  stride,
  expansions,
  squeezes,
  activation,
});

/** Table 2 of the paper. */
const small: Variant = {
  name: "mobilenet-v3-small",
  stages: (
    [
      [3, 16, 2, [1], true, ops.relu],
      [3, 24, 2, [4.5, 3.67], false, ops.relu],
      [5, 40, 2, [4, 6, 6], true],
      [5, 48, 1, [3, 3], true],
      [5, 96, 2, [6, 6, 6], true],
    ] satisfies Row[]
  ).map(stage),
  last: 576,
  features: 1024,
};

/** Table 1 of the paper. */
const large: Variant = {
  name: "mobilenet-v3-large",
  stages: (
    [
      [3, 16, 1, [1], false, ops.relu],
      [3, 24, 2, [4, 3], false, ops.relu],
      [5, 40, 2, [3, 3, 3], true, ops.relu],
      [3, 80, 2, [6, 2.5, 2.3, 2.3], false],
      [3, 112, 1, [6, 6], true],
      [5, 160, 2, [6, 6, 6], true],
    ] satisfies Row[]
  ).map(stage),
  last: 960,
  features: 1280,
};

const define = (variant: Variant): ((options?: MobileNetV3Options) => Part<ModelSource>) =>
  partFactory("model", variant.name, mobileNetOptions, (options) => ({
    name: variant.name,
    options,
    build: (context) => build(variant, options, context),
    ...startingWith(options.pretrained),
  }));

/** 1,620,356 parameters at 100 classes; 57 M multiply-adds for an image of 224 pixels. */
export const mobileNetV3Small = define(small);
/** 4,330,132 parameters at 100 classes; 217 M multiply-adds for an image of 224 pixels. */
export const mobileNetV3Large = define(large);

const stemChannels = 16;
const epsilon = 1e-5;
const hard = { activation: ops.hardSwish, epsilon } as const;

/** A multiple of 8 near `channels`, at least 8 and not below 90 % of it: as TensorFlow's networks round. */
function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

function build(variant: Variant, options: z.output<typeof mobileNetOptions>, context: BuildContext): Model {
  const count = variant.stages.reduce((sum, { expansions }) => sum + expansions.length, 0);
  let index = 0;
  let channels = stemChannels;

  const stages = variant.stages.map(({ kernel, out, stride: first, expansions, squeezes, activation }, level) => {
    const style: BlockStyle = {
      activation,
      epsilon,
      squeeze: { activation: ops.relu, gate: ops.hardSigmoid },
    };
    return sequential(
      expansions.map((expansion, place) => {
        const wide = roundChannels(channels * expansion);
        const stride = place === 0 ? first : 1;
        const squeezed = squeezes ? roundChannels(wide / 4) : undefined;
        const shape = { in: channels, out, kernel, stride, wide, squeezed };
        channels = out;
        const info = { name: `blocks.${level}.${place}`, index: index++, count, channels: out };
        const plain = expansion === 1 ? separable(shape, style) : invertedResidual(shape, style);
        // A block that changes size or channels has no add, so no branch that a plugin could drop or weigh.
        return stride === 1 && shape.in === out ? residualBlock(context.buildBlock(plain, info)) : plain;
      }),
    );
  });
  const { last, features } = variant;
  const pointwise = sequential({ conv: conv2d({ in: channels, out: last, kernel: 1 }), bn1: activeNorm(last, hard) });
  const blocks = [...stages, sequential([pointwise])];

  const stride = stemOf(options, context) === "imagenet" ? 2 : 1;
  const layer: Layer = {
    kind: variant.name,
    parts: {
      conv_stem: conv2d({ in: 3, out: stemChannels, kernel: 3, stride }),
      bn1: activeNorm(stemChannels, hard),
      blocks: sequential(blocks),
      conv_head: conv2d({ in: last, out: features, kernel: 1, bias: true }),
      head: context.buildHead(identity, { features, classes: context.classes }),
      classifier: linear(features, context.classes),
    },
    forward(x, pass) {
      const maps = runAll(layer, ["conv_stem", "bn1", "blocks"], x, pass);
      const pooled = tf.reshape(ops.globalAveragePool(maps), [-1, 1, 1, last]);
      const wide = ops.hardSwish(run(layer, "conv_head", pooled, pass));
      return runAll(layer, ["head", "classifier"], tf.reshape(wide, [-1, features]), pass);
    },
  };
  return {
    layer,
    stages: [
      ["conv_stem", "bn1"],
      ...blocks.map((_, level) => [`blocks.${level}`]),
      ["conv_head"],
      ["head", "classifier"],
    ],
    features: `blocks.${stages.length}`,
  };
}

/** EfficientNet-B0 (Tan and Le 2019) with timm's names, paddings and norms (epsilon 1e-5, momentum .1). */
import { z } from "zod";
import type { Layer } from "../nn/layer.js";
import { batchNorm, conv2d, depthwiseConv2d, identity, linear, sequential } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { squeezeExcite } from "../nn/squeeze-excite.js";
import { type Part, partFactory } from "../parts.js";
import { blockNames, runAll } from "./block.js";

const efficientNetOptions = z.strictObject({
  stem: z
    .enum(["cifar", "imagenet"])
    .default("cifar")
    .describe('"imagenet" halves the size at once and ends at 1/32; "cifar" does not, and ends at 1/16'),
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

/** 4,135,648 parameters at 100 classes. Random initial values of the classifier are PyTorch's, not timm's. */
export const efficientNetB0: (options?: EfficientNetOptions) => Part<ModelSource> = partFactory(
  "model",
  "efficientnet-b0",
  efficientNetOptions,
  (options) => ({ name: "efficientnet-b0", options, build: (context) => build(options, context) }),
);

function build({ stem }: z.output<typeof efficientNetOptions>, context: BuildContext): Model {
  const count = stagesOfB0.reduce((sum, stage) => sum + stage.repeats, 0);
  let index = 0;
  let channels = stemChannels;

  const stages = stagesOfB0.map(({ expansion, out, repeats, stride, kernel }, level) =>
    sequential(
      Array.from({ length: repeats }, (_, place) => {
        const shape: BlockShape = { in: channels, out, kernel, expansion, stride: place === 0 ? stride : 1 };
        channels = out;
        const info = { name: `blocks.${level}.${place}`, index: index++, count, channels: out };
        const plain = expansion === 1 ? separable(shape) : invertedResidual(shape);
        // A block that changes size or channels has no add, so no branch that a plugin could drop or weigh.
        return shape.stride === 1 && shape.in === out ? block(context.buildBlock(plain, info)) : plain;
      }),
    ),
  );

  const layer: Layer = {
    kind: "efficientnet-b0",
    parts: {
      conv_stem: conv2d({ in: 3, out: stemChannels, kernel: 3, stride: stem === "imagenet" ? 2 : 1 }),
      bn1: normSilu(stemChannels),
      blocks: sequential(stages),
      conv_head: conv2d({ in: channels, out: features, kernel: 1 }),
      bn2: normSilu(features),
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

interface BlockShape {
  in: number;
  out: number;
  kernel: number;
  expansion: number;
  stride: number;
}

/** The first block: no expansion. */
function separable({ in: input, out, kernel, stride }: BlockShape): Layer {
  return {
    ...sequential({
      conv_dw: depthwiseConv2d({ channels: input, kernel, stride }),
      bn1: normSilu(input),
      se: squeeze(input, input),
      conv_pw: conv2d({ in: input, out, kernel: 1 }),
      bn2: batchNorm(out),
    }),
    kind: "separable-block",
  };
}

function invertedResidual({ in: input, out, kernel, expansion, stride }: BlockShape): Layer {
  const wide = input * expansion;
  return {
    ...sequential({
      conv_pw: conv2d({ in: input, out: wide, kernel: 1 }),
      bn1: normSilu(wide),
      conv_dw: depthwiseConv2d({ channels: wide, kernel, stride }),
      bn2: normSilu(wide),
      se: squeeze(wide, input),
      conv_pwl: conv2d({ in: wide, out, kernel: 1 }),
      bn3: batchNorm(out),
    }),
    kind: "inverted-residual-branch",
  };
}

function block(branch: Layer): Layer {
  return {
    kind: "inverted-residual-block",
    ...blockNames(branch, {}),
    forward: (x, pass) => ops.add(branch.forward(x, pass), x),
  };
}

/** The squeeze is a quarter of the block's input, not of what the expansion made of it. */
function squeeze(channels: number, input: number): Layer {
  const squeezed = Math.round(input / 4);
  return squeezeExcite({ channels, squeezed, activation: ops.silu, names: ["conv_reduce", "conv_expand"] });
}

/** A norm with its activation, under one name as in timm. */
function normSilu(channels: number): Layer {
  const norm = batchNorm(channels);
  return { ...norm, kind: "batch-norm-silu", forward: (x, pass) => ops.silu(norm.forward(x, pass)) };
}

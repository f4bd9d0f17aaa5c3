/**
 * The networks of the fastest CIFAR recipes (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
 * arXiv 2404.00498): a 2 × 2 whitening convolution, three groups of convolutions, a linear head without bias.
 * For images of 32 pixels; the names are ours, since the published state has none that say anything.
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { batchNorm, conv2d, identity, linear } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { runAll } from "./block.js";

/** Widths of the three groups, and convolutions in each. Multiply-adds for one image of 32 pixels and 100 classes. */
const sizes = {
  94: { widths: [64, 256, 256], depth: 2 }, // 118 M
  95: { widths: [128, 384, 384], depth: 2 }, // 302 M
  96: { widths: [128, 384, 512], depth: 3 }, // 452 M
} as const;

const airbenchOptions = z.strictObject({
  size: z.literal([94, 95, 96]).default(94).describe("named by the accuracy that each was made for on CIFAR-10"),
  logitScale: z
    .number()
    .positive()
    .default(1 / 9)
    .describe("the logits are multiplied by this"),
  initial: z
    .enum(["identity", "uniform"])
    .default("identity")
    .describe(
      "first weights of a 3 x 3 convolution: as many filters as it has inputs copy one channel each, or none do",
    ),
  normMomentum: z.number().gt(0).max(1).default(0.4).describe("share of a new batch in the running statistics"),
});

export type AirbenchOptions = z.input<typeof airbenchOptions>;

/** Filters of the whitening layer: the 2 · 2 · 3 directions of a patch and their negatives. */
const whitened = 24;

/** 118, 302 or 452 M multiply-adds an image at 32 px. Whiten the first layer with the plugin `whitening`. */
export const airbench: (options?: AirbenchOptions) => Part<ModelSource> = partFactory(
  "model",
  "airbench",
  airbenchOptions,
  (options) => ({
    name: "airbench",
    options,
    build: (context) => build(options, context),
  }),
);

type Settings = z.output<typeof airbenchOptions>;

function build(options: Settings, context: BuildContext): Model {
  const { widths, depth } = sizes[options.size];
  const features = widths[2];
  const groupOf = (input: number, out: number): Layer => group(input, out, depth, options);
  const layer: Layer = {
    kind: "airbench",
    parts: {
      whiten: conv2d({ in: 3, out: whitened, kernel: 2, padding: 0, bias: true, initial: "uniform" }),
      group1: groupOf(whitened, widths[0]),
      group2: groupOf(widths[0], widths[1]),
      group3: groupOf(widths[1], widths[2]),
      head: context.buildHead(identity, { features, classes: context.classes }),
      linear: linear(features, context.classes, { bias: false }),
    },
    forward(x, pass) {
      const patches = ops.gelu(run(layer, "whiten", x, pass));
      const maps = runAll(layer, ["group1", "group2", "group3"], patches, pass);
      const logits = runAll(layer, ["head", "linear"], ops.globalMaxPool(maps), pass);
      return tf.mul(logits, options.logitScale);
    },
  };
  return {
    layer,
    stages: [["whiten"], ["group1"], ["group2"], ["group3"], ["head", "linear"]],
    features: "group3",
  };
}

/**
 * Convolution, max pool, norm, GELU, then convolution, norm, GELU. With a third convolution the group ends in a residual
 * branch of two. The pool comes before the norm: a quarter of the values to normalise.
 */
function group(input: number, out: number, depth: 2 | 3, { normMomentum, initial }: Settings): Layer {
  const norm = (): Layer => batchNorm(out, { scale: "fixed", epsilon: 1e-12, momentum: normMomentum });
  const convolution = (channels: number): Layer => conv2d({ in: channels, out, kernel: 3, initial });
  const layer: Layer = {
    kind: "group",
    parts: {
      conv1: convolution(input),
      norm1: norm(),
      conv2: convolution(out),
      norm2: norm(),
      ...(depth === 3 ? { conv3: convolution(out), norm3: norm() } : {}),
    },
    forward(x, pass) {
      const pooled = ops.maxPool(run(layer, "conv1", x, pass), 2, 2, 0);
      const first = ops.gelu(run(layer, "norm1", pooled, pass));
      const second = runAll(layer, ["conv2", "norm2"], first, pass);
      if (depth === 2) return ops.gelu(second);
      const third = runAll(layer, ["conv3", "norm3"], ops.gelu(second), pass);
      return ops.gelu(ops.add(third, first));
    },
  };
  return layer;
}

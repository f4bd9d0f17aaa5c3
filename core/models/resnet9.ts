/**
 * The nine-layer residual network of fast CIFAR training, with the names of Page's DAWNBench entry
 * ("layer1.residual.res1.conv").
 */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { batchNorm, conv2d, identity, linear } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { blockNames, runAll } from "./block.js";

const resnet9Options = z.strictObject({
  width: z.int().positive().default(64).describe("channels of the first layer; the last has eight times as many"),
});

export type ResNet9Options = z.input<typeof resnet9Options>;

/** The classifier has no bias, and its logits are divided by eight: what the entry found to train fastest. */
const logitScale = 0.125;

/** 6,619,200 parameters at 100 classes; 379 M multiply-adds an image of 32 pixels. Any size from 8 will do. */
export const resnet9: (options?: ResNet9Options) => Part<ModelSource> = partFactory(
  "model",
  "resnet9",
  resnet9Options,
  (options) => ({
    name: "resnet9",
    options,
    build: (context) => build(options, context),
  }),
);

function build({ width }: z.output<typeof resnet9Options>, context: BuildContext): Model {
  const residual = (layer: string, index: number, channels: number): Layer => {
    const info = { name: `${layer}.residual`, index, count: 2, channels };
    return residualBlock(context.buildBlock(doubleConvolution(channels), info));
  };
  const features = 8 * width;
  const layer: Layer = {
    kind: "resnet9",
    parts: {
      prep: convolution(3, width),
      layer1: convolution(width, 2 * width, { pool: true, residual: residual("layer1", 0, 2 * width) }),
      layer2: convolution(2 * width, 4 * width, { pool: true }),
      layer3: convolution(4 * width, features, { pool: true, residual: residual("layer3", 1, features) }),
      head: context.buildHead(identity, { features, classes: context.classes }),
      linear: linear(features, context.classes, { bias: false }),
    },
    forward(x, pass) {
      const maps = runAll(layer, ["prep", "layer1", "layer2", "layer3"], x, pass);
      const logits = runAll(layer, ["head", "linear"], ops.globalMaxPool(maps), pass);
      return tf.mul(logits, logitScale);
    },
  };
  return {
    layer,
    stages: [["prep"], ["layer1"], ["layer2"], ["layer3"], ["head", "linear"]],
    features: "layer3",
  };
}

/** Convolution, norm, ReLU; then perhaps half the size, then perhaps a residual block. */
function convolution(input: number, out: number, after: { pool?: boolean; residual?: Layer } = {}): Layer {
  const { pool = false, residual } = after;
  const layer: Layer = {
    kind: "convolution",
    parts: {
      conv: conv2d({ in: input, out, kernel: 3 }),
      bn: batchNorm(out),
      ...(residual ? { residual } : {}),
    },
    forward(x, pass) {
      const active = ops.relu(runAll(layer, ["conv", "bn"], x, pass));
      const pooled = pool ? ops.maxPool(active, 2, 2, 0) : active;
      return residual ? run(layer, "residual", pooled, pass) : pooled;
    },
  };
  return layer;
}

/** Both convolutions end in a ReLU, so a tap sees the branch after its last norm and ReLU. */
function doubleConvolution(channels: number): Layer {
  const layer: Layer = {
    kind: "double-convolution",
    parts: { res1: convolution(channels, channels), res2: convolution(channels, channels) },
    forward: (x, pass) => runAll(layer, ["res1", "res2"], x, pass),
  };
  return layer;
}

function residualBlock(branch: Layer): Layer {
  return {
    kind: "residual-block",
    ...blockNames(branch, {}),
    forward: (x, pass) => ops.add(x, branch.forward(x, pass)),
  };
}

/**
 * Wide ResNet (Zagoruyko and Komodakis 2016) for small images, pre-activation, with the names of the widely
 * used PyTorch port ("block1.layer.0.convShortcut").
 */
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { activation, batchNorm, conv2d, identity, linear, sequential } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { blockNames, runAll } from "./block.js";

const wrnOptions = z.strictObject({
  depth: z
    .int()
    .refine((depth) => depth >= 10 && (depth - 4) % 6 === 0, "expected 6 n + 4 (10, 16, 22, 28, 34, 40, …)")
    .default(16)
    .describe("convolutions on the longest path, including projections: 6 n + 4 for n blocks a stage"),
  width: z.int().positive().default(4).describe("times the channels of a ResNet for CIFAR: 16, 32, 64"),
});

export type WideResNetOptions = z.input<typeof wrnOptions>;

const stageNames = ["block1", "block2", "block3"] as const;

/**
 * WRN-depth-width. At 100 classes WRN-16-4 has 2,772,020 parameters and 393 M multiply-adds an image of 32
 * pixels, WRN-28-10 has 36,536,884 and 5.24 G.
 */
export const wrn: (options?: WideResNetOptions) => Part<ModelSource> = partFactory(
  "model",
  "wrn",
  wrnOptions,
  (options) => ({
    name: "wrn",
    options,
    build: (context) => build(options, context),
  }),
);

function build({ depth, width }: z.output<typeof wrnOptions>, context: BuildContext): Model {
  const blocks = (depth - 4) / 6;
  const count = blocks * stageNames.length;
  let index = 0;
  let channels = 16;

  const stages = stageNames.map((stage, level) => {
    const out = 16 * width * 2 ** level;
    const inside = Array.from({ length: blocks }, (_, place) => {
      const input = channels;
      const stride = level > 0 && place === 0 ? 2 : 1;
      const info = { name: `${stage}.layer.${place}`, index: index++, count, channels: out };
      channels = out;
      return block(context.buildBlock(branch(input, out, stride), info), input, out, stride);
    });
    return [stage, sequential({ layer: sequential(inside) })] as const;
  });

  const layer: Layer = {
    kind: "wrn",
    parts: {
      conv1: conv2d({ in: 3, out: 16, kernel: 3 }),
      ...Object.fromEntries(stages),
      bn1: batchNorm(channels),
      relu: activation("relu", ops.relu),
      head: context.buildHead(identity, { features: channels, classes: context.classes }),
      fc: linear(channels, context.classes),
    },
    forward(x, pass) {
      const maps = runAll(layer, ["conv1", ...stageNames, "bn1", "relu"], x, pass);
      return runAll(layer, ["head", "fc"], ops.globalAveragePool(maps), pass);
    },
  };
  return {
    layer,
    stages: [["conv1"], ["block1"], ["block2"], ["block3", "bn1", "relu"], ["head", "fc"]],
    features: "relu",
  };
}

/** From the activated input to the add. Pre-activation ends in no norm: a tap sees a bare convolution. */
function branch(input: number, out: number, stride: number): Layer {
  const layer: Layer = {
    kind: "pre-activation-branch",
    parts: {
      conv1: conv2d({ in: input, out, kernel: 3, stride }),
      bn2: batchNorm(out),
      conv2: conv2d({ in: out, out, kernel: 3 }),
    },
    forward(x, pass) {
      const middle = ops.relu(runAll(layer, ["conv1", "bn2"], x, pass));
      return run(layer, "conv2", middle, pass);
    },
  };
  return layer;
}

/**
 * The first norm belongs to the block, not to the branch: where channels change, the projection too starts
 * from the activated input.
 */
function block(inner: Layer, input: number, out: number, stride: number): Layer {
  const convShortcut = input === out ? undefined : conv2d({ in: input, out, kernel: 1, stride });
  const layer: Layer = {
    kind: "pre-activation-block",
    ...blockNames(inner, { before: { bn1: batchNorm(input) }, after: convShortcut ? { convShortcut } : {} }),
    forward(x, pass) {
      const active = ops.relu(run(layer, "bn1", x, pass));
      const shortcut = convShortcut ? run(layer, "convShortcut", active, pass) : x;
      return ops.add(shortcut, inner.forward(active, pass));
    },
  };
  return layer;
}

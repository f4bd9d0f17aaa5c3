/**
 * ResNet (He et al. 2016) with torchvision's names. A bottleneck has its stride in the 3 x 3 convolution
 * ("v1.5"), as torchvision and most published figures do.
 */
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { batchNorm, conv2d, identity, linear, sequential } from "../nn/layers.js";
import type { BuildContext, Model, ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { type Part, partFactory } from "../parts.js";
import { blockNames, runAll } from "./block.js";
import { pretrainedOption, startingWith } from "./pretrained.js";
import { stemOf, stemOption } from "./stem.js";

const resnetOptions = z.strictObject({
  width: z.int().positive().default(64).describe("channels of the first stage, doubled by each later one"),
  stem: stemOption('"cifar": 3 x 3, keeps the size; "imagenet": 7 x 7 and a pool, a quarter of the size'),
  zeroInitResidual: z
    .boolean()
    .default(false)
    .describe("start each branch at zero: the scale of its last norm is 0 (Goyal et al. 2017)"),
  pretrained: pretrainedOption,
});

export type ResNetOptions = z.input<typeof resnetOptions>;

const stageNames = ["layer1", "layer2", "layer3", "layer4"] as const;

interface Architecture {
  readonly name: string;
  /** Blocks in each stage. */
  readonly depths: readonly number[];
  readonly bottleneck: boolean;
}

const define = (architecture: Architecture): ((options?: ResNetOptions) => Part<ModelSource>) =>
  partFactory("model", architecture.name, resnetOptions, (options) => ({
    name: architecture.name,
    options,
    build: (context) => build(architecture, options, context),
    ...startingWith(options.pretrained),
  }));

/** 11,220,132 parameters at 100 classes with the CIFAR stem; 555 M multiply-adds an image of 32 pixels. */
export const resnet18 = define({ name: "resnet18", depths: [2, 2, 2, 2], bottleneck: false });
/** 21,328,292 parameters at 100 classes with the CIFAR stem. */
export const resnet34 = define({ name: "resnet34", depths: [3, 4, 6, 3], bottleneck: false });
/** 23,705,252 parameters at 100 classes with the CIFAR stem; 1.298 G multiply-adds an image of 32 pixels. */
export const resnet50 = define({ name: "resnet50", depths: [3, 4, 6, 3], bottleneck: true });
/** 42,697,380 parameters at 100 classes with the CIFAR stem. */
export const resnet101 = define({ name: "resnet101", depths: [3, 4, 23, 3], bottleneck: true });

function build(
  { name, depths, bottleneck }: Architecture,
  options: z.output<typeof resnetOptions>,
  context: BuildContext,
): Model {
  const { width, zeroInitResidual } = options;
  const count = depths.reduce((sum, depth) => sum + depth);
  const lastScale = zeroInitResidual ? 0 : 1;
  let index = 0;
  let channels = width;

  const stages = depths.map((depth, stage) => {
    const planes = width * 2 ** stage;
    const out = bottleneck ? 4 * planes : planes;
    return sequential(
      Array.from({ length: depth }, (_, place) => {
        const stride = stage > 0 && place === 0 ? 2 : 1;
        const shape: BranchShape = { in: channels, planes, out, stride, lastScale };
        const plain = bottleneck ? bottleneckBranch(shape) : basicBranch(shape);
        const info = { name: `${stageNames[stage]}.${place}`, index: index++, count, channels: out };
        const branch = context.buildBlock(plain, info);
        const straight = stride === 1 && channels === out;
        channels = out;
        return block(branch, straight ? undefined : projection(shape));
      }),
    );
  });

  const small = stemOf(options, context) === "cifar";
  const layer: Layer = {
    kind: name,
    parts: {
      conv1: small ? conv2d({ in: 3, out: width, kernel: 3 }) : conv2d({ in: 3, out: width, kernel: 7, stride: 2 }),
      bn1: batchNorm(width),
      ...Object.fromEntries(stages.map((stage, place) => [stageNames[place]!, stage])),
      head: context.buildHead(identity, { features: channels, classes: context.classes }),
      fc: linear(channels, context.classes),
    },
    forward(x, pass) {
      const start = ops.relu(runAll(layer, ["conv1", "bn1"], x, pass));
      const maps = runAll(layer, stageNames, small ? start : ops.maxPool(start, 3, 2, 1), pass);
      return runAll(layer, ["head", "fc"], ops.globalAveragePool(maps), pass);
    },
  };
  return {
    layer,
    stages: [["conv1", "bn1"], ...stageNames.map((stage) => [stage]), ["head", "fc"]],
    features: "layer4",
  };
}

interface BranchShape {
  in: number;
  planes: number;
  out: number;
  stride: number;
  lastScale: number;
}

/** Two 3 x 3 convolutions. */
function basicBranch({ in: input, planes, stride, lastScale }: BranchShape): Layer {
  const layer: Layer = {
    kind: "basic-branch",
    parts: {
      conv1: conv2d({ in: input, out: planes, kernel: 3, stride }),
      bn1: batchNorm(planes),
      conv2: conv2d({ in: planes, out: planes, kernel: 3 }),
      bn2: batchNorm(planes, { scale: lastScale }),
    },
    forward(x, pass) {
      const middle = ops.relu(runAll(layer, ["conv1", "bn1"], x, pass));
      return runAll(layer, ["conv2", "bn2"], middle, pass);
    },
  };
  return layer;
}

/** 1 x 1 down, 3 x 3, 1 x 1 up. */
function bottleneckBranch({ in: input, planes, out, stride, lastScale }: BranchShape): Layer {
  const layer: Layer = {
    kind: "bottleneck-branch",
    parts: {
      conv1: conv2d({ in: input, out: planes, kernel: 1 }),
      bn1: batchNorm(planes),
      conv2: conv2d({ in: planes, out: planes, kernel: 3, stride }),
      bn2: batchNorm(planes),
      conv3: conv2d({ in: planes, out, kernel: 1 }),
      bn3: batchNorm(out, { scale: lastScale }),
    },
    forward(x, pass) {
      const narrow = ops.relu(runAll(layer, ["conv1", "bn1"], x, pass));
      const seen = ops.relu(runAll(layer, ["conv2", "bn2"], narrow, pass));
      return runAll(layer, ["conv3", "bn3"], seen, pass);
    },
  };
  return layer;
}

/** The way past a branch that changes size or channels. */
function projection({ in: input, out, stride }: BranchShape): Layer {
  return sequential([conv2d({ in: input, out, kernel: 1, stride }), batchNorm(out)]);
}

function block(branch: Layer, downsample: Layer | undefined): Layer {
  const layer: Layer = {
    kind: "residual-block",
    ...blockNames(branch, { after: downsample ? { downsample } : {} }),
    forward(x, pass) {
      const shortcut = downsample ? run(layer, "downsample", x, pass) : x;
      return ops.relu(ops.add(branch.forward(x, pass), shortcut));
    },
  };
  return layer;
}

/** The blocks of networks for phones (Sandler et al. 2018), with timm's names: EfficientNet and MobileNetV3 share them. */
import type * as tf from "@tensorflow/tfjs-core";
import type { Layer } from "../nn/layer.js";
import { batchNorm, conv2d, depthwiseConv2d, sequential } from "../nn/layers.js";
import * as ops from "../nn/ops.js";
import { squeezeExcite } from "../nn/squeeze-excite.js";
import { blockNames } from "./block.js";

/** What the blocks of one network, or of one stage, have in common. */
export interface BlockStyle {
  readonly activation: (x: tf.Tensor) => tf.Tensor;
  readonly epsilon: number;
  /** "same" pads as TensorFlow does. */
  readonly padding?: "same";
  readonly squeeze?: {
    readonly activation: (x: tf.Tensor) => tf.Tensor;
    readonly gate?: (x: tf.Tensor) => tf.Tensor;
  };
}

export interface BlockShape {
  readonly in: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  /** Channels between the two pointwise convolutions. */
  readonly wide: number;
  /** Channels in the middle of squeeze-and-excitation; left out, the block has none. */
  readonly squeezed?: number;
}

/** The first block: no expansion. */
export function separable({ in: input, out, kernel, stride, squeezed }: BlockShape, style: BlockStyle): Layer {
  return {
    ...sequential({
      conv_dw: depthwiseConv2d({ channels: input, kernel, stride, padding: style.padding }),
      bn1: activeNorm(input, style),
      ...squeezePart(input, squeezed, style),
      conv_pw: conv2d({ in: input, out, kernel: 1 }),
      bn2: batchNorm(out, { epsilon: style.epsilon }),
    }),
    kind: "separable-block",
  };
}

export function invertedResidual(shape: BlockShape, style: BlockStyle): Layer {
  const { in: input, out, kernel, stride, wide, squeezed } = shape;
  return {
    ...sequential({
      conv_pw: conv2d({ in: input, out: wide, kernel: 1 }),
      bn1: activeNorm(wide, style),
      conv_dw: depthwiseConv2d({ channels: wide, kernel, stride, padding: style.padding }),
      bn2: activeNorm(wide, style),
      ...squeezePart(wide, squeezed, style),
      conv_pwl: conv2d({ in: wide, out, kernel: 1 }),
      bn3: batchNorm(out, { epsilon: style.epsilon }),
    }),
    kind: "inverted-residual-branch",
  };
}

function squeezePart(channels: number, squeezed: number | undefined, { squeeze }: BlockStyle): Record<string, Layer> {
  if (squeezed === undefined || squeeze === undefined) return {};
  return { se: squeezeExcite({ channels, squeezed, ...squeeze, names: ["conv_reduce", "conv_expand"] }) };
}

/** A branch and the way past it. */
export function residualBlock(branch: Layer): Layer {
  return {
    kind: "inverted-residual-block",
    ...blockNames(branch, {}),
    forward: (x, pass) => ops.add(branch.forward(x, pass), x),
  };
}

/** A norm with its activation, under one name as in timm. */
export function activeNorm(channels: number, { activation, epsilon }: BlockStyle): Layer {
  const norm = batchNorm(channels, { epsilon });
  return { ...norm, kind: "batch-norm-act", forward: (x, pass) => activation(norm.forward(x, pass)) };
}

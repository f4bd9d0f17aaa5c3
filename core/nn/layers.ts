/** The layers networks are built from. Each is a plain value; parameter names are PyTorch's. */
import * as tf from "@tensorflow/tfjs-core";
import type { Stream } from "../rng.js";
import { padSame } from "./convolution.js";
import { type Layer, type Parameter, run } from "./layer.js";
import * as ops from "./ops.js";

/** A plain loop: `Float32Array.from` takes half as long again, which shows at tens of millions of numbers. */
function drawn(size: number, draw: () => number): Float32Array {
  const values = new Float32Array(size);
  for (let index = 0; index < size; index++) values[index] = draw();
  return values;
}

/** He initialisation for ReLU by the fan out (He et al. 2015), as torchvision's ResNets start. */
const heNormal = (size: number, fanOut: number) => (random: Stream) => {
  const deviation = Math.sqrt(2 / fanOut);
  return drawn(size, () => random.normal() * deviation);
};

/** Uniform in ±1/sqrt(fanIn), as PyTorch starts linear layers. */
const uniformFanIn = (size: number, fanIn: number) => (random: Stream) => {
  const bound = 1 / Math.sqrt(fanIn);
  return drawn(size, () => random.range(-bound, bound));
};

/**
 * PyTorch's default (uniform in ±1/sqrt(fanIn)) with the identity in its first filters: filter i passes channel i on
 * unchanged, so that a new network starts by handing its input through (cifar10-airbench, Jordan 2024). Needs at least as
 * many filters as input channels and an odd kernel.
 */
const identityConvolution = (kernel: number, input: number, out: number) => (random: Stream) => {
  const values = uniformFanIn(kernel * kernel * input * out, kernel * kernel * input)(random);
  const centre = (kernel * kernel - 1) / 2;
  for (let place = 0; place < kernel * kernel; place++) {
    for (let channel = 0; channel < input; channel++) {
      for (let filter = 0; filter < input; filter++) {
        values[(place * input + channel) * out + filter] = place === centre && channel === filter ? 1 : 0;
      }
    }
  }
  return values;
};

function firstFilters(kind: Conv2dOptions["initial"], kernel: number, input: number, out: number) {
  const size = kernel * kernel * input * out;
  if (kind === "identity") return identityConvolution(kernel, input, out);
  return kind === "uniform" ? uniformFanIn(size, kernel * kernel * input) : heNormal(size, kernel * kernel * out);
}

const constant = (size: number, value: number) => (): Float32Array => new Float32Array(size).fill(value);

const vector = (size: number, value: number): Parameter => ({
  shape: [size],
  layout: "vector",
  decays: false,
  initial: constant(size, value),
});

export interface Conv2dOptions {
  in: number;
  out: number;
  kernel: number;
  stride?: number;
  /**
   * Zeros on each side; (kernel - 1) / 2 when left out, which keeps the size at stride 1. "same" pads as TensorFlow does,
   * where that differs: at strides above 1.
   */
  padding?: number | "same";
  bias?: boolean;
  /** First values: "he" (normal by the fan out), "uniform" (PyTorch's default) or "identity" (that, the first filters the identity). */
  initial?: "he" | "identity" | "uniform";
}

/** What a convolution reads, and the zeros that it adds on every side by itself. */
const padded = (x: tf.Tensor, kernel: number, stride: number, padding: number | "same"): [tf.Tensor, number] => {
  if (padding !== "same") return [x, padding];
  return stride === 1 ? [x, (kernel - 1) / 2] : [padSame(x, kernel, stride), 0];
};

/** Convolution: [batch, height, width, in] -> [batch, height', width', out]. */
export function conv2d(options: Conv2dOptions): Layer {
  const { in: input, out, kernel, stride = 1, padding = (kernel - 1) / 2, bias = false } = options;
  const { initial = "he" } = options;
  return {
    kind: "conv2d",
    parameters: {
      weight: {
        shape: [kernel, kernel, input, out],
        layout: "conv",
        decays: true,
        initial: firstFilters(initial, kernel, input, out),
      },
      ...(bias ? { bias: vector(out, 0) } : {}),
    },
    forward(x, pass) {
      const [source, zeros] = padded(x, kernel, stride, padding);
      const y = ops.conv2d(source, pass.value("weight"), { stride, padding: zeros, precision: pass.precision });
      pass.count(y.size * kernel * kernel * input);
      return bias ? tf.add(y, pass.value("bias")) : y;
    },
  };
}

/** One k × k filter a channel. */
export function depthwiseConv2d(options: Omit<Conv2dOptions, "in" | "out" | "bias"> & { channels: number }): Layer {
  const { channels, kernel, stride = 1, padding = (kernel - 1) / 2 } = options;
  return {
    kind: "depthwise-conv2d",
    parameters: {
      weight: {
        shape: [kernel, kernel, channels, 1],
        layout: "depthwise",
        decays: true,
        initial: heNormal(kernel * kernel * channels, kernel * kernel),
      },
    },
    forward(x, pass) {
      const [source, zeros] = padded(x, kernel, stride, padding);
      const y = ops.depthwiseConv2d(source, pass.value("weight"), { stride, padding: zeros });
      pass.count(y.size * kernel * kernel);
      return y;
    },
  };
}

export interface BatchNormOptions {
  /**
   * First value of the scale; 0 makes a residual branch start as nothing (Goyal et al. 2017). "fixed" keeps it at 1: the
   * scale is stored, as PyTorch's state has it, and does not train.
   */
  scale?: number | "fixed";
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
  /** Share of the new batch in the running statistics: PyTorch's `momentum`. Default 0.1. */
  momentum?: number;
}

/** Batch norm over [batch, height, width]; running mean and unbiased variance as PyTorch keeps them. */
export function batchNorm(channels: number, options: BatchNormOptions = {}): Layer {
  const { scale = 1, epsilon = 1e-5, momentum = 0.1 } = options;
  const fixed = scale === "fixed";
  return {
    kind: "batch-norm",
    parameters: { ...(fixed ? {} : { weight: vector(channels, scale) }), bias: vector(channels, 0) },
    buffers: {
      ...(fixed ? { weight: { shape: [channels], initial: 1 } } : {}),
      running_mean: { shape: [channels], initial: 0 },
      running_var: { shape: [channels], initial: 1 },
    },
    forward(x, pass) {
      const weight = pass.value("weight");
      const bias = pass.value("bias");
      const running = { mean: pass.value("running_mean"), variance: pass.value("running_var") };
      if (!pass.training || !pass.trains(fixed ? "bias" : "weight")) {
        return ops.batchNormInference(x, weight, bias, running, epsilon);
      }
      const { y, mean, variance } = ops.batchNorm(x, weight, bias, running, { epsilon, momentum });
      pass.setBuffer("running_mean", mean);
      pass.setBuffer("running_var", variance);
      return y;
    },
  };
}

/** [batch, in] -> [batch, out]. */
export function linear(input: number, out: number, { bias = true } = {}): Layer {
  return {
    kind: "linear",
    parameters: {
      weight: { shape: [input, out], layout: "linear", decays: true, initial: uniformFanIn(input * out, input) },
      ...(bias ? { bias: { ...vector(out, 0), initial: uniformFanIn(out, input) } } : {}),
    },
    forward(x, pass) {
      const y = tf.matMul(x as tf.Tensor2D, pass.value("weight") as tf.Tensor2D);
      pass.count(y.size * input);
      return bias ? tf.add(y, pass.value("bias")) : y;
    },
  };
}

/** A layer without parameters around a pure function. */
export function activation(kind: string, apply: (x: tf.Tensor) => tf.Tensor): Layer {
  return { kind, forward: (x) => apply(x) };
}

export const identity: Layer = activation("identity", (x) => x);

/** Parts run one after another, named "0", "1", … or as given. */
export function sequential(parts: readonly Layer[] | Readonly<Record<string, Layer>>): Layer {
  const named = Object.fromEntries(Object.entries(parts)) as Record<string, Layer>;
  const names = Object.keys(named);
  const layer: Layer = {
    kind: "sequential",
    parts: named,
    forward: (x, pass) => names.reduce((y, name) => run(layer, name, y, pass), x),
  };
  return layer;
}

/**
 * `first`, then `then` under the given name, in one namespace: the names of `first` stay as they are. This is how a
 * `buildBlock` or `buildHead` tap adds to a branch without renaming what is there.
 */
export function append(first: Layer, name: string, then: Layer): Layer {
  if (first.parts?.[name] || first.parameters?.[name]) {
    throw new Error(`"${first.kind}" has a part or parameter named "${name}" already.`);
  }
  const layer: Layer = {
    kind: first.kind,
    parameters: first.parameters,
    buffers: first.buffers,
    parts: { ...first.parts, [name]: then },
    forward: (x, pass) => run(layer, name, first.forward(x, pass), pass),
  };
  return layer;
}

/**
 * Dropout (Srivastava et al. 2014): in training each number is zero with probability `rate`, the rest grow by
 * 1 / (1 - rate). `shape` says what shares a draw: [batch, 1, 1, 1] drops whole images of a branch.
 */
export function dropout(rate: number, shape: (x: tf.Tensor) => number[] = (x) => x.shape): Layer {
  return {
    kind: "dropout",
    forward(x, pass) {
      if (!pass.training || rate === 0) return x;
      const kept = tf.cast(tf.greaterEqual(pass.uniform(shape(x)), rate), "float32");
      return tf.mul(x, tf.mul(kept, 1 / (1 - rate)));
    },
  };
}

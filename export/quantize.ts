/**
 * int8 by LiteRT's rules: activations with one scale and zero point each, weights symmetric with a scale per output channel,
 * biases int32. real = scale · (q - zero), q in [-128, 127].
 */
import * as tf from "@tensorflow/tfjs-core";
import { roundHalfEven } from "../core/round.js";
import { type Constant, type Graph, inputsOf, type Node, withInputs } from "../core/trace/graph.js";
import { interpret } from "../core/trace/interpret.js";
import { keepsRange } from "../core/trace/ranges.js";

export interface Quantized {
  readonly scale: number;
  /** In [-128, 127]. */
  readonly zero: number;
}

export type Range = readonly [low: number, high: number];

/** Share of the values of calibration that a range holds; the rest is cut off evenly at both ends. */
export interface CalibrationOptions {
  /** In (0, 1]; 1 takes the extremes. */
  readonly share?: number;
}

const bins = 4096;

/**
 * The range of each value of a graph over calibration images.
 *
 * @param batches makes the images anew each time it is asked: the extremes come first, histograms between them second
 */
export function calibrate(
  graph: Graph,
  batches: () => Iterable<tf.Tensor>,
  { share = 1 }: CalibrationOptions = {},
): Map<string, Range> {
  const visit = (see: (value: string, data: Float32Array) => void): void => {
    for (const images of batches()) {
      const observe = (value: string, tensor: tf.Tensor): tf.Tensor => {
        see(value, tensor.dataSync() as Float32Array);
        return tensor;
      };
      tf.dispose([interpret(graph, images, observe), images]);
    }
  };
  const extremes = new Map<string, Range>();
  visit((value, data) => {
    let [low, high] = extremes.get(value) ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const each of data) {
      if (each < low) low = each;
      if (each > high) high = each;
    }
    extremes.set(value, [low, high]);
  });
  if (share < 1) {
    const histograms = new Map([...extremes.keys()].map((value) => [value, new Float64Array(bins)]));
    visit((value, data) => {
      const [low, high] = extremes.get(value)!;
      const counts = histograms.get(value)!;
      const perBin = high > low ? bins / (high - low) : 0;
      for (const each of data) counts[Math.min(bins - 1, Math.floor((each - low) * perBin))]!++;
    });
    for (const [value, range] of extremes) extremes.set(value, innerRange(histograms.get(value)!, range, share));
  }
  return extremes.set(graph.input, [0, 255]); // by definition
}

/** The range that holds a share of a histogram's counts. */
export function innerRange(counts: Float64Array, [low, high]: Range, share: number): Range {
  const total = counts.reduce((sum, each) => sum + each, 0);
  const cut = ((1 - share) / 2) * total;
  let first = 0;
  for (let sum = counts[0]!; sum <= cut && first < counts.length - 1; sum += counts[++first]!);
  let last = counts.length - 1;
  for (let sum = counts[last]!; sum <= cut && last > first; sum += counts[--last]!);
  const width = (high - low) / counts.length;
  return [low + first * width, low + (last + 1) * width];
}

/**
 * Zero is exact, since padding and ReLU make it.
 *
 * @param least smallest scale that the value may have
 */
export function quantizedRange([low, high]: Range, least = 1e-8): Quantized {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = Math.max(Math.fround((to - from) / 255), Math.fround(least));
  return { scale, zero: Math.max(-128, Math.min(127, Math.round(-128 - from / scale))) };
}

/** LiteRT fixes the output of a sigmoid. */
export const probabilities: Quantized = { scale: 1 / 256, zero: -128 };

/** The parameters of each value; shared through what only moves values, as LiteRT's checker enforces. */
export function quantizedValues(graph: Graph, ranges: ReadonlyMap<string, Range>): Map<string, Quantized> {
  const all = new Map([[graph.input, quantizedRange(ranges.get(graph.input)!)]]);
  for (const node of graph.nodes) {
    if (node.op === "sigmoid") all.set(node.out, probabilities);
    else if (keepsRange(node)) all.set(node.out, all.get(inputsOf(node)[0]!)!);
    else all.set(node.out, quantizedRange(ranges.get(node.out)!, leastScale(node, ranges.get(node.out)!, all)));
  }
  return all;
}

/**
 * XNNPACK refuses a convolution whose sums have steps of 256 of its output's steps or more: that of a value which is zero for
 * all images, or all but constant. Such a value gets larger steps, which cost it nothing.
 */
function leastScale(node: Node, [low, high]: Range, values: ReadonlyMap<string, Quantized>): number | undefined {
  if (!("x" in node)) return undefined;
  const input = values.get(node.x)!.scale;
  if (low === 0 && high === 0) return input;
  if (node.op === "affine") return (input * Math.max(...node.scale.map(Math.abs))) / 127 / mostSteps;
  if (!("weight" in node)) return input / mostSteps;
  return (input * Math.max(...quantizeWeights(node.weight, node.bias, input).scales)) / mostSteps;
}
const mostSteps = 250;

/** Weights and bias of a convolution or product; the output channel is the innermost axis. */
export interface QuantizedWeights {
  /** Made when it is asked for, and not kept: it is as long as the weights. */
  data(): Int8Array;
  /** Per output channel. */
  readonly scales: Float32Array;
  /** In units of the input's scale times the channel's. */
  readonly bias: Int32Array;
}

/** A channel's scale grows where its bias would leave int32: dead norms make such channels. */
export function quantizeWeights({ data }: Constant, bias: Float64Array, inputScale: number): QuantizedWeights {
  const channels = bias.length;
  const scales = new Float32Array(channels);
  data.forEach((each, at) => {
    scales[at % channels] = Math.max(scales[at % channels]!, Math.abs(each));
  });
  for (let channel = 0; channel < channels; channel++) {
    const least = Math.abs(bias[channel]!) / (inputScale * 2 ** 30);
    scales[channel] = Math.max(scales[channel]! / 127, least) || 1;
  }
  return {
    data() {
      const whole = new Int8Array(data.length); // `from` would hold all numbers a second time, as a list
      for (let at = 0; at < data.length; at++) {
        whole[at] = Math.max(-127, Math.min(127, roundHalfEven(data[at]! / scales[at % channels]!)));
      }
      return whole;
    },
    scales,
    bias: Int32Array.from(bias, (each, channel) => Math.round(each / (inputScale * scales[channel]!))),
  };
}

/** The graph with its weights rounded to int8: what the simulation runs. Kept layers stay as they are. */
export function withRoundedWeights(
  graph: Graph,
  quantized: ReadonlyMap<string, Quantized>,
  kept: ReadonlySet<string> = new Set(),
): Graph {
  const nodes = graph.nodes.map((node) => {
    if (!("weight" in node) || kept.has(node.out)) return node;
    const channels = node.bias.length;
    const inputScale = quantized.get(node.x)!.scale;
    const { data, scales, bias } = quantizeWeights(node.weight, node.bias, inputScale);
    const weight = { ...node.weight, data: Float32Array.from(data(), (each, at) => each * scales[at % channels]!) };
    return { ...node, weight, bias: Float64Array.from(bias, (each, at) => each * inputScale * scales[at]!) };
  });
  return { ...graph, nodes };
}

/** A value of a kept layer and the same value in int8 are two values: the second is what quantized layers see. */
function withConversions(
  graph: Graph,
  quantized: ReadonlyMap<string, Quantized>,
  kept: ReadonlySet<string>,
): { graph: Graph; quantized: Map<string, Quantized> } {
  const shapes = new Map(graph.shapes);
  const all = new Map(quantized);
  const converted = (value: string): string => `${value}/int8`;
  const seenInInt8 = new Set(graph.nodes.filter(({ out }) => !kept.has(out)).flatMap(inputsOf));
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const { out } = node;
    if (!kept.has(out)) return [withInputs(node, (value) => (kept.has(value) ? converted(value) : value))];
    if (!seenInInt8.has(out)) return [node];
    const shape = shapes.get(out)!;
    shapes.set(converted(out), shape);
    all.set(converted(out), quantized.get(out)!);
    return [node, { op: "reshape", x: out, shape, out: converted(out), activation: "none" }];
  });
  return { graph: { ...graph, nodes, shapes }, quantized: all };
}

/** As the kernels of int8 hold a value. */
export function rounded(tensor: tf.Tensor, { scale, zero }: Quantized): tf.Tensor {
  const q = tf.clipByValue(tf.add(tf.round(tf.div(tensor, scale)), zero), -128, 127);
  return tf.mul(tf.sub(q, zero), scale);
}

/**
 * A function from images to the logits of the int8 model, every value rounded as its kernels would: before anything is written.
 *
 * @param kept values that are computed in float32
 */
export function simulator(
  graph: Graph,
  quantized: ReadonlyMap<string, Quantized>,
  kept: ReadonlySet<string> = new Set(),
): (images: tf.Tensor) => tf.Tensor {
  const mixed = withConversions(graph, quantized, kept);
  const whole = withRoundedWeights(mixed.graph, mixed.quantized, kept);
  return (images) =>
    interpret(whole, images, (value, tensor) =>
      kept.has(value) ? tensor : rounded(tensor, mixed.quantized.get(value)!),
    );
}

export interface LayerError {
  readonly layer: string;
  /** Root mean square of what int8 changes in the layer's output, over that of the output. */
  readonly error: number;
}

/** What int8 changes in each layer alone, given the float32 values before it; the largest error first. */
export function layerErrors(
  graph: Graph,
  quantized: ReadonlyMap<string, Quantized>,
  batches: Iterable<tf.Tensor>,
): LayerError[] {
  const whole = withRoundedWeights(graph, quantized);
  const sums = new Map<string, { changed: number; all: number }>();
  const square = (tensor: tf.Tensor): number => tf.sum(tf.square(tensor)).dataSync()[0]!;
  for (const images of batches) {
    const plain = new Map<string, tf.Tensor>();
    const note = (value: string, tensor: tf.Tensor): tf.Tensor => {
      plain.set(value, tf.keep(tensor.clone()));
      return tensor;
    };
    const compare = (value: string, tensor: tf.Tensor): tf.Tensor => {
      const wanted = plain.get(value)!;
      const sum = sums.get(value) ?? { changed: 0, all: 0 };
      sums.set(value, sum);
      sum.changed += square(tf.sub(rounded(tensor, quantized.get(value)!), wanted));
      sum.all += square(wanted);
      return wanted.clone();
    };
    tf.dispose([interpret(graph, images, note), interpret(whole, images, compare)]);
    tf.dispose([...plain.values(), images]);
  }
  return [...sums]
    .map(([layer, { changed, all }]) => ({ layer, error: all > 0 ? Math.sqrt(changed / all) : 0 }))
    .sort((a, b) => b.error - a.error);
}

/** What makes the channels of a group: the parameters that are zero for a channel that is gone, and what they say of it. */
import * as tf from "@tensorflow/tfjs-core";
import type { graph, Layout, Parameter } from "../../core/index.js";

type Tensors = ReadonlyMap<string, tf.Tensor>;

/** Parameters of one layer that make the channels of a group. */
export interface Source {
  /** A norm's scale and shift, or a filter and what is added to it. */
  readonly kind: "norm" | "filter";
  readonly names: readonly string[];
}

export interface PrunableGroup {
  /** Place in the list of the graph's groups. */
  readonly at: number;
  /** The first parameter's, which no other group has. */
  readonly name: string;
  readonly channels: number;
  readonly sources: readonly Source[];
}

/** The axis of a parameter that counts its output channels. */
const channelAxis: Readonly<Record<Layout, number>> = { conv: 3, depthwise: 2, linear: 1, vector: 0 };

/**
 * The groups of a traced network that can lose channels. A convolution with a norm behind it is left alone, as the norm
 * makes its channels zero.
 */
export function prunableGroups(
  { graph: { nodes }, operands }: graph.Traced,
  groups: readonly graph.ChannelGroup[],
): PrunableGroup[] {
  const isNorm = (node: graph.Node): boolean => operands.get(node.out)?.epsilon !== undefined;
  const normed = new Set(nodes.flatMap((node) => (node.op === "affine" && isNorm(node) ? [node.x] : [])));
  return groups.flatMap(({ values, channels, removable }, at) => {
    if (!removable) return [];
    const sources = nodes.flatMap((node): Source[] => {
      const names = operands.get(node.out)?.names;
      if (!names || !values.has(node.out)) return [];
      if (isNorm(node)) return [{ kind: "norm", names: names.slice(0, 2) }];
      return normed.has(node.out) ? [] : [{ kind: "filter", names }];
    });
    return sources.length > 0 ? [{ at, name: sources[0]!.names[0]!, channels, sources }] : [];
  });
}

/** The numbers of a value summed over every axis but the channels'. */
function perChannel(layout: Layout, compute: () => tf.Tensor): Float64Array {
  const summed = tf.tidy(() => {
    const value = compute();
    const others = value.shape.flatMap((_, axis) => (axis === channelAxis[layout] ? [] : [axis]));
    return others.length > 0 ? tf.sum(value, others) : value.clone();
  });
  const numbers = Float64Array.from(summed.dataSync());
  summed.dispose();
  return numbers;
}

const layoutOf = (parameters: ReadonlyMap<string, Pick<Parameter, "layout">>, name: string): Layout =>
  parameters.get(name)?.layout ?? "vector"; // a norm's fixed scale is no parameter

/**
 * How large each channel of a source is: the absolute scale of a norm (Liu et al. 2017, Network slimming), or the Euclidean
 * norm of a filter (Li et al. 2017, there in L1).
 */
export function magnitudes(
  { kind, names }: Source,
  weights: Tensors,
  parameters: ReadonlyMap<string, Pick<Parameter, "layout">>,
): Float64Array {
  const value = weights.get(names[0]!)!;
  if (kind === "norm") return Float64Array.from(value.dataSync(), Math.abs);
  return perChannel(layoutOf(parameters, names[0]!), () => tf.square(value)).map(Math.sqrt);
}

/**
 * How much the loss would change without a channel, to first order, squared: (Σ value · gradient)² over the parameters of each
 * source, then the sum over sources (Molchanov et al. 2019, formulas 5 and 8).
 */
export function taylor(
  { sources, channels }: PrunableGroup,
  weights: Tensors,
  gradients: Tensors,
  parameters: ReadonlyMap<string, Pick<Parameter, "layout">>,
): Float64Array {
  const total = new Float64Array(channels);
  for (const { names } of sources) {
    const sum = new Float64Array(channels);
    for (const name of names) {
      const gradient = gradients.get(name);
      if (!gradient) continue; // frozen, or a scale that is fixed
      const part = perChannel(layoutOf(parameters, name), () => tf.mul(weights.get(name)!, gradient));
      part.forEach((each, channel) => (sum[channel]! += each));
    }
    sum.forEach((each, channel) => (total[channel]! += each * each));
  }
  return total;
}

/** Of each channel of a group: the mean over its sources, each in units of its own mean, so that groups can be compared. */
export function importanceOf(
  { sources, channels }: PrunableGroup,
  weights: Tensors,
  parameters: ReadonlyMap<string, Pick<Parameter, "layout">>,
): Float64Array {
  const sum = new Float64Array(channels);
  for (const source of sources) {
    const found = magnitudes(source, weights, parameters);
    const mean = found.reduce((total, each) => total + each, 0) / channels || 1;
    found.forEach((each, channel) => (sum[channel]! += each / mean / sources.length));
  }
  return sum;
}

/** A parameter with the channels that are gone at zero. */
export function masked(value: tf.Tensor, layout: Layout, gone: ReadonlySet<number>): tf.Tensor {
  const axis = channelAxis[layout];
  const mask = Float32Array.from({ length: value.shape[axis]! }, (_, at) => (gone.has(at) ? 0 : 1));
  const shape = value.shape.map((size, each) => (each === axis ? size : 1));
  return tf.tidy(() => tf.mul(value, tf.tensor(mask, shape)));
}

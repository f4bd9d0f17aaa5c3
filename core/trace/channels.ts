/**
 * Which channels of a network go together, and the network without those that are zero. Operations that work on each channel
 * alone tie their values into one group, as a residual sum ties its branches: the dependency groups of Torch-Pruning (Fang et
 * al. 2023), read off the graph.
 */
import { type Constant, channelsOf, type Graph, inputsOf, type Node, shapeOf } from "./graph.js";

/** Values that have one set of channels. */
export interface ChannelGroup {
  readonly values: ReadonlySet<string>;
  readonly channels: number;
  /**
   * Whether a channel can go: the group has neither image nor logits, and a channel is zero wherever it is read once all that
   * makes it is zero.
   */
  readonly removable: boolean;
}

/** Whether each channel of the result is made of all channels of the input. */
const mixes = ({ op }: Node): boolean => op === "conv" || op === "dense";

/** Every group of a graph, in the order of their first values. */
export function channelGroups(graph: Graph): ChannelGroup[] {
  const parents = new Map([[graph.input, graph.input]]);
  const rootOf = (value: string): string => {
    const parent = parents.get(value)!;
    return parent === value ? value : rootOf(parent);
  };
  const kept = new Set([graph.input, graph.output]);
  const canBeZero = new Map([[graph.input, false]]);
  for (const node of graph.nodes) {
    parents.set(node.out, node.out);
    canBeZero.set(
      node.out,
      isZeroOf(node, (value) => canBeZero.get(value)!),
    );
    for (const value of inputsOf(node)) {
      if (mixes(node)) {
        if (!canBeZero.get(value)) kept.add(value);
      } else if (channelsOf(graph, value) === channelsOf(graph, node.out)) parents.set(rootOf(value), rootOf(node.out));
      else kept.add(value).add(node.out); // a flattened map, or one channel for all
    }
  }
  const groups = new Map<string, Set<string>>();
  for (const value of parents.keys()) {
    const root = rootOf(value);
    groups.set(root, (groups.get(root) ?? new Set()).add(value));
  }
  return [...groups].map(([root, values]) => ({
    values,
    channels: channelsOf(graph, root),
    removable: ![...values].some((value) => kept.has(value)),
  }));
}

/** Whether a value is zero where its inputs and parameters are, as far as they can be. */
function isZeroOf(node: Node, isZero: (value: string) => boolean): boolean {
  switch (node.op) {
    case "conv":
    case "depthwise":
    case "dense":
    case "affine":
      return true;
    case "add":
      return isZero(node.a) && isZero(node.b);
    case "mul":
      return isZero(node.a) || isZero(node.b);
    case "sigmoid":
      return false;
    default:
      return isZero(node.x);
  }
}

/** Multiply-adds for one image where each group has so many channels. */
export function multiplyAddsOf(graph: Graph, groups: readonly ChannelGroup[]): (channels: readonly number[]) => number {
  const groupOf = new Map(groups.flatMap(({ values }, at) => [...values].map((value) => [value, at] as const)));
  const terms = graph.nodes.flatMap((node) => {
    if (!("weight" in node)) return [];
    const [height, width] = shapeOf(graph, node.out).length === 4 ? shapeOf(graph, node.out).slice(1, 3) : [1, 1];
    const kernel = node.weight.shape.slice(0, -2).reduce((product, each) => product * each, 1);
    const places = height! * width! * kernel;
    return [{ places, from: node.op === "depthwise" ? undefined : groupOf.get(node.x)!, to: groupOf.get(node.out)! }];
  });
  return (channels) =>
    terms.reduce(
      (sum, { places, from, to }) => sum + places * (from === undefined ? 1 : channels[from]!) * channels[to]!,
      0,
    );
}

/** Value -> for each channel whether it is zero for every image, as the constants show. */
function zeroChannels(graph: Graph): Map<string, readonly boolean[]> {
  const zero = new Map<string, readonly boolean[]>();
  const of = (value: string): readonly boolean[] => zero.get(value)!;
  zero.set(graph.input, new Array<boolean>(channelsOf(graph, graph.input)).fill(false));
  for (const node of graph.nodes) zero.set(node.out, zerosAfter(node, of, channelsOf(graph, node.out)));
  return zero;
}

function zerosAfter(node: Node, of: (value: string) => readonly boolean[], channels: number): readonly boolean[] {
  const none = (): boolean[] => new Array<boolean>(channels).fill(false);
  if ("x" in node && !mixes(node) && of(node.x).length !== channels) return none();
  switch (node.op) {
    case "conv":
    case "dense":
      return zeroFilters(node.weight, node.bias);
    case "depthwise":
      return zeroFilters(node.weight, new Float64Array(channels)).map(
        (filter, at) => node.bias[at] === 0 && (filter || of(node.x)[at]!),
      );
    case "affine":
      return of(node.x).map((before, at) => node.shift[at] === 0 && (before || node.scale[at] === 0));
    case "add":
    case "mul": {
      const [a, b] = [of(node.a), of(node.b)];
      if (a.length !== channels || b.length !== channels) return none();
      return a.map((each, at) => (node.op === "add" ? each && b[at]! : each || b[at]!));
    }
    case "sigmoid":
      return none();
    default:
      return of(node.x);
  }
}

/** Output channels, the last axis of a filter's numbers, that have no number but zero. */
function zeroFilters({ data }: Constant, bias: Float64Array): boolean[] {
  const zero = Array.from(bias, (each) => each === 0);
  data.forEach((each, at) => {
    if (each !== 0) zero[at % zero.length] = false;
  });
  return zero;
}

/**
 * The graph without the channels that are zero wherever they are read: a sum has fewer zeros to add, and no other number
 * changes. A group keeps at least one channel.
 */
export function withoutZeroChannels(graph: Graph): Graph {
  const zero = zeroChannels(graph);
  const read = graph.nodes.filter(mixes).flatMap(inputsOf);
  const kept = new Map<string, readonly number[]>(); // value -> channels that stay, where some go
  for (const { values, channels, removable } of channelGroups(graph)) {
    if (!removable) continue;
    const readHere = read.filter((value) => values.has(value));
    const all = Array.from({ length: channels }, (_, channel) => channel);
    const stay = all.filter((channel) => !readHere.every((value) => zero.get(value)![channel]));
    if (stay.length === channels) continue;
    for (const value of values) kept.set(value, stay.length > 0 ? stay : [0]);
  }
  const shapes = new Map(
    [...graph.shapes].map(([value, shape]) => {
      const stay = kept.get(value);
      return [value, stay ? [...shape.slice(0, -1), stay.length] : shape];
    }),
  );
  return { ...graph, shapes, nodes: graph.nodes.map((node) => cut(node, (value) => kept.get(value))) };
}

/** A node with the channels that stay. */
function cut(node: Node, kept: (value: string) => readonly number[] | undefined): Node {
  const out = kept(node.out);
  const pick = (values: Float64Array): Float64Array => (out ? Float64Array.from(out, (at) => values[at]!) : values);
  switch (node.op) {
    case "conv":
    case "dense":
      return { ...node, weight: cutWeight(node.weight, kept(node.x), out), bias: pick(node.bias) };
    case "depthwise":
      return { ...node, weight: cutWeight(node.weight, out, undefined), bias: pick(node.bias) };
    case "affine":
      return { ...node, scale: pick(node.scale), shift: pick(node.shift) };
    case "reshape":
      return out ? { ...node, shape: [...node.shape.slice(0, -1), out.length] } : node;
    default:
      return node;
  }
}

/** Weights [..., in, out] with some of both. */
function cutWeight({ shape, data }: Constant, ins?: readonly number[], outs?: readonly number[]): Constant {
  const [inSize, outSize] = shape.slice(-2) as [number, number];
  const from = ins ?? Array.from({ length: inSize }, (_, at) => at);
  const to = outs ?? Array.from({ length: outSize }, (_, at) => at);
  const places = data.length / (inSize * outSize);
  const next = new Float32Array(places * from.length * to.length);
  let at = 0;
  for (let place = 0; place < places; place++) {
    for (const a of from) for (const b of to) next[at++] = data[(place * inSize + a) * outSize + b]!;
  }
  return { shape: [...shape.slice(0, -2), from.length, to.length], data: next };
}

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { modelByName } from "../../../core/models/index.js";
import { initialWeights } from "../../../core/nn/layer.js";
import { append } from "../../../core/nn/layers.js";
import { squeezeExcite } from "../../../core/nn/squeeze-excite.js";
import { makePart } from "../../../core/parts.js";
import { type ChannelGroup, channelGroups, multiplyAddsOf, withoutZeroChannels } from "../../../core/trace/channels.js";
import { channelsOf, type Graph, multiplyAdds } from "../../../core/trace/graph.js";
import { interpret } from "../../../core/trace/interpret.js";
import { simplify } from "../../../core/trace/passes.js";
import { trace } from "../../../core/trace/trace.js";
import { everyOperation, pixels } from "../../support/every-operation.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

function graphOf(name: string, options: Record<string, unknown>, size = 32): Graph {
  const { layer } = makePart(modelByName(name, options)).build({
    inputSize: 32,
    classes: 4,
    buildBlock: (branch, { channels }) => append(branch, "own-se", squeezeExcite({ channels, squeezed: 2 })),
    buildHead: (head) => head,
  });
  const weights = initialWeights(layer, 1);
  const graph = simplify(trace(layer, weights, size));
  tf.dispose([...weights.values()]);
  return graph;
}

const groupOf = (groups: readonly ChannelGroup[], value: string): ChannelGroup =>
  groups.find(({ values }) => values.has(value))!;

describe("channelGroups", () => {
  it("ties what a residual stream adds, gates included, and leaves the inside of a branch alone", () => {
    const groups = channelGroups(graphOf("resnet18", { width: 4 }));
    const stream = groupOf(groups, "layer2.0");
    for (const value of [
      "layer2.0.conv2",
      "layer2.0.downsample.0",
      "layer2.1.conv2",
      "layer2.1.own-se",
      "layer2.1.own-se.fc2",
    ])
      expect(stream.values, value).toContain(value);
    expect(stream).toMatchObject({ channels: 8, removable: true });
    expect([...groupOf(groups, "layer2.0.conv1").values]).toEqual(["layer2.0.conv1"]);
    expect([...groupOf(groups, "layer2.1.own-se.fc1").values]).toEqual(["layer2.1.own-se.fc1"]);
    expect(groupOf(groups, "image").removable).toBe(false);
    expect(groupOf(groups, "logits").removable).toBe(false);
  });

  it("follows channels through a depthwise convolution and its gate", () => {
    const groups = channelGroups(graphOf("efficientnet-b0", {}));
    const wide = groupOf(groups, "blocks.1.0.conv_pw");
    for (const value of ["blocks.1.0.conv_dw", "blocks.1.0.se.conv_expand", "blocks.1.0.se"])
      expect(wide.values, value).toContain(value);
    expect(wide.removable).toBe(true);
    expect(groups.filter(({ removable }) => !removable)).toHaveLength(2);
  });

  it("keeps channels that a sigmoid keeps from being zero where they are read", () => {
    const nodes = everyOperation.nodes.map((node) => (node.op === "dense" ? { ...node, x: "gate.flat" } : node));
    const gate = { op: "reshape", x: "gate", shape: [-1, 12], out: "gate.flat", activation: "none" } as const;
    const shapes = new Map(everyOperation.shapes).set("gate.flat", [-1, 12]);
    const graph = { ...everyOperation, shapes, nodes: [...nodes.slice(0, -1), gate, nodes.at(-1)!] };
    expect(groupOf(channelGroups(everyOperation), "gate").removable).toBe(true);
    expect(groupOf(channelGroups(graph), "gate").removable).toBe(false);
  });
});

/** The graph with the first half of the channels of every group that can lose some made zero, as training would. */
function halved(graph: Graph, groups: readonly ChannelGroup[]): Graph {
  const gone = (value: string): number => {
    const { removable, channels } = groupOf(groups, value);
    return removable ? channels >> 1 : 0;
  };
  const nodes = graph.nodes.map((node) => {
    const last = channelsOf(graph, node.out);
    const isGone = (at: number): boolean => at % last < gone(node.out);
    const cut = <T extends Float32Array | Float64Array>(values: T): T =>
      values.map((each, at) => (isGone(at) ? 0 : each)) as T;
    if ("weight" in node) {
      return { ...node, bias: cut(node.bias), weight: { ...node.weight, data: cut(node.weight.data) } };
    }
    return node.op === "affine" ? { ...node, scale: cut(node.scale), shift: cut(node.shift) } : node;
  });
  return { ...graph, nodes };
}

describe("withoutZeroChannels", () => {
  it("changes nothing where no channel is zero", () => {
    expect(withoutZeroChannels(everyOperation)).toEqual(everyOperation);
  });

  it.each([
    ["resnet18", { width: 4 }],
    ["resnet50", { width: 4, stem: "imagenet" }],
    ["wrn", { depth: 10, width: 1 }],
    ["resnet9", { width: 4 }],
    ["efficientnet-b0", {}],
    ["efficientnet-lite0", {}],
  ] as const)("halves %s, and its logits are the same numbers", (name, options) => {
    const whole = graphOf(name, options);
    const groups = channelGroups(whole);
    const zeros = halved(whole, groups);
    const small = withoutZeroChannels(zeros);
    const left = groups.map(({ channels, removable }) => (removable ? channels - (channels >> 1) : channels));
    expect(multiplyAddsOf(whole, groups)(groups.map(({ channels }) => channels))).toBe(multiplyAdds(whole));
    expect(multiplyAdds(small)).toBe(multiplyAddsOf(whole, groups)(left));
    expect(multiplyAdds(small)).toBeLessThan(0.6 * multiplyAdds(whole));
    for (const node of small.nodes)
      if ("weight" in node) expect(node.weight.data.length).toBe(node.weight.shape.reduce((a, b) => a * b));
    const [apart, largest] = tf.tidy(() => {
      const x = tf.randomNormal([4, 32, 32, 3], 0, 1, "float32", 3);
      const wanted = interpret(zeros, x);
      return [
        tf.max(tf.abs(tf.sub(interpret(small, x), wanted))).dataSync()[0]!,
        tf.max(tf.abs(wanted)).dataSync()[0]!,
      ];
    }) as unknown as [number, number];
    expect(largest).toBeGreaterThan(1e-3);
    expect(apart / largest).toBeLessThan(2e-6);
  });

  it("cuts every operation that works on channels", () => {
    const zeros = halved(everyOperation, channelGroups(everyOperation));
    const small = withoutZeroChannels(zeros);
    expect(channelsOf(small, "stem")).toBe(4);
    expect(["wide", "gelu", "depth", "gate", "gated", "sum", "norm"].map((value) => channelsOf(small, value))).toEqual(
      new Array(7).fill(6),
    );
    const answers = (graph: Graph): Float32Array =>
      tf.tidy(() => interpret(graph, tf.tensor4d(pixels(4), [4, 12, 12, 3])).dataSync()) as Float32Array;
    const [wanted, found] = [answers(zeros), answers(small)];
    wanted.forEach((each, at) => expect(found[at]).toBeCloseTo(each, 4));
  });

  it("keeps one channel of a branch that is nothing", () => {
    const nodes = everyOperation.nodes.map((node) =>
      node.op === "conv" && node.out === "stem"
        ? { ...node, bias: node.bias.map(() => 0), weight: { ...node.weight, data: node.weight.data.map(() => 0) } }
        : node,
    );
    expect(channelsOf(withoutZeroChannels({ ...everyOperation, nodes }), "stem")).toBe(1);
  });
});

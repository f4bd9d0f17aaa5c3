/** A graph with each operation that a model may be traced into, and what a file of it needs; weights by a formula. */

import { stream } from "../../core/rng.js";
import type { Constant, Graph, Node, Pads } from "../../core/trace/graph.js";
import { withNormalising } from "../../core/trace/passes.js";
import type { Description } from "../../export/formats/format.js";

const random = stream(7, "every-operation");
const constant = (...shape: number[]): Constant => {
  const size = shape.reduce((product, each) => product * each, 1);
  const reach = Math.sqrt(6 / shape.slice(0, -1).reduce((product, each) => product * each, 1));
  return { shape, data: Float32Array.from({ length: size }, () => random.range(-reach, reach)) };
};
const vector = (size: number, low: number, high: number): Float64Array =>
  Float64Array.from({ length: size }, () => random.range(low, high));

const nodes: Node[] = [
  conv("stem", "image", constant(3, 3, 3, 8), { stride: 2, pads: [1, 1, 1, 1], activation: "relu" }), // 12 -> 6, not "same"
  { op: "max-pool", x: "stem", size: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], out: "pool", activation: "none" }, // 3
  conv("wide", "pool", constant(1, 1, 8, 12), {}),
  { op: "gelu", x: "wide", out: "gelu", activation: "none" },
  depthwise("depth", "gelu", constant(3, 3, 12, 1), "relu6"),
  { op: "mean", x: "depth", keepDims: true, out: "squeeze", activation: "none" },
  conv("gate.conv", "squeeze", constant(1, 1, 12, 12), {}),
  { op: "sigmoid", x: "gate.conv", out: "gate", activation: "none" },
  { op: "mul", a: "depth", b: "gate", out: "gated", activation: "none" },
  { op: "add", a: "gated", b: "wide", out: "sum", activation: "relu" },
  {
    op: "affine",
    x: "sum",
    scale: vector(12, 0.5, 1.5),
    shift: vector(12, -0.2, 0.2),
    out: "norm",
    activation: "relu",
  },
  { op: "mean", x: "norm", keepDims: false, out: "features", activation: "none" },
  dense("logits", "features", constant(12, 5)),
];

function conv(
  out: string,
  x: string,
  weight: Constant,
  rest: Partial<Extract<Node, { op: "conv" }>>,
): Extract<Node, { op: "conv" }> {
  const bias = vector(weight.shape[3]!, -0.1, 0.1);
  return { op: "conv", x, weight, bias, stride: 1, pads: [0, 0, 0, 0], out, activation: "none", ...rest };
}
function depthwise(
  out: string,
  x: string,
  weight: Constant,
  activation: "none" | "relu6",
  pads: Pads = [1, 1, 1, 1],
): Node {
  const bias = vector(weight.shape[2]!, -0.1, 0.1);
  return { op: "depthwise", x, weight, bias, stride: 1, pads, out, activation };
}
function dense(out: string, x: string, weight: Constant): Node {
  return { op: "dense", x, weight, bias: vector(weight.shape[1]!, -0.1, 0.1), out, activation: "none" };
}

const map = (side: number, channels: number): number[] => [-1, side, side, channels];
const shapes = new Map<string, number[]>([
  ["image", map(12, 3)],
  ["stem", map(6, 8)],
  ["pool", map(3, 8)],
  ...["wide", "gelu", "depth", "gated", "sum", "norm"].map((name): [string, number[]] => [name, map(3, 12)]),
  ...["squeeze", "gate.conv", "gate"].map((name): [string, number[]] => [name, map(1, 12)]),
  ["features", [-1, 12]],
  ["logits", [-1, 5]],
]);

const normalisation = { mean: [0.4, 0.5, 0.6], deviation: [0.2, 0.25, 0.3] };

export const everyOperation: Graph = withNormalising(
  { input: "image", output: "logits", nodes, shapes },
  normalisation,
);

/** One layer of each kind with more weights than "int8-dynamic" leaves in float32. */
export const largeLayers: Graph = withNormalising(
  {
    input: "image",
    output: "logits",
    nodes: [
      conv("stem", "image", constant(3, 3, 3, 48), { stride: 2, pads: [1, 1, 1, 1], activation: "relu" }),
      depthwise("depth", "stem", constant(5, 5, 48, 1), "relu6", [2, 2, 2, 2]),
      conv("wide", "depth", constant(1, 1, 48, 210), { activation: "relu" }),
      { op: "mean", x: "wide", keepDims: false, out: "features", activation: "none" },
      dense("logits", "features", constant(210, 5)),
    ],
    shapes: new Map([
      ["image", map(12, 3)],
      ["stem", map(6, 48)],
      ["depth", map(6, 48)],
      ["wide", map(6, 210)],
      ["features", [-1, 210]],
      ["logits", [-1, 5]],
    ]),
  },
  normalisation,
);

export const description: Description = {
  classes: ["ant", "bee", "größe", "a b", "✓"],
  size: 12,
  resizing: { scale: 13, crop: 12, interpolation: "bicubic" },
  ...normalisation,
  output: "logits",
  input: "float32",
  text: "every operation",
  version: "0.0.0",
};

/** Images' values, 0 to 255, [count, 12, 12, 3]. */
export const pixels = (count: number): Float32Array => {
  const draw = stream(8, "pixels");
  return Float32Array.from({ length: count * 12 * 12 * 3 }, () => draw.int(256));
};

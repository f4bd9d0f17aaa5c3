/** What makes a traced graph small: each pass gives a graph with the same results. */
import type { Affine, Graph, Node } from "./graph.js";
import { inputsOf, withInputs } from "./graph.js";
import type { Traced } from "./trace.js";

/** All passes, in order; values are named by their layers in the end. */
export function simplify({ graph, layers }: Traced, { temperature = 1 } = {}): Graph {
  const names = new Map(layers);
  const joined = fused(withoutUnused(withTemperature(graph, temperature)), names);
  return named(withoutUnused(withGelu(joined)), names);
}

/** How often each value is used; the output once more. */
function countUses({ nodes, output }: Graph): Map<string, number> {
  const uses = new Map([[output, 1]]);
  for (const value of nodes.flatMap(inputsOf)) uses.set(value, (uses.get(value) ?? 0) + 1);
  return uses;
}

/** Without the nodes whose values nobody uses. */
export function withoutUnused(graph: Graph): Graph {
  const needed = new Set([graph.output]);
  for (const node of [...graph.nodes].reverse()) {
    if (needed.has(node.out)) for (const value of inputsOf(node)) needed.add(value);
  }
  return { ...graph, nodes: graph.nodes.filter(({ out }) => needed.has(out)) };
}

const takesRelu = ["conv", "depthwise", "dense", "affine", "add", "mul"];

/**
 * A norm or a bias joins the convolution or product before it, a ReLU joins what it follows, and a mean keeps its axes where a
 * reshape would put them back; each only where nobody else uses what lies between.
 *
 * @param names value -> layer; a joined value keeps its own name, or takes that of what joined it
 */
export function fused(graph: Graph, names: Map<string, string>): Graph {
  const uses = countUses(graph);
  const joined = new Map<string, string>(); // value that is gone -> value in its place
  const made = new Map<string, number>(); // value -> place in nodes
  const nodes: Node[] = [];
  const shapes = new Map(graph.shapes);
  for (const each of graph.nodes) {
    const node = { parts: [each.out], ...withInputs(each, (value) => joined.get(value) ?? value) };
    const alone = "x" in each && uses.get(each.x) === 1;
    const place = "x" in node && alone ? made.get(node.x) : undefined;
    const before = place === undefined ? undefined : nodes[place]!;
    const merged = before && merge(before, node);
    if (!merged) {
      made.set(node.out, nodes.push(node) - 1);
      continue;
    }
    nodes[place!] = { ...merged, parts: [...before.parts!, ...node.parts] };
    if (node.op === "reshape") shapes.set(merged.out, node.shape);
    joined.set(node.out, merged.out);
    const name = names.get(node.out);
    if (name !== undefined && !names.has(merged.out)) names.set(merged.out, name);
  }
  return { ...graph, output: joined.get(graph.output) ?? graph.output, nodes, shapes };
}

/** Two nodes as one, where that is possible. */
function merge(before: Node, node: Node): Node | undefined {
  if (before.activation !== "none") return undefined;
  if ((node.op === "relu" || node.op === "relu6") && takesRelu.includes(before.op)) {
    return { ...before, activation: node.op };
  }
  if (node.op === "reshape" && before.op === "mean" && !before.keepDims && node.shape.length === 4) {
    return { ...before, keepDims: true };
  }
  return node.op === "affine" ? mergeAffine(before, node) : undefined;
}

/** The output channel is the last axis of each kind of weights. */
function mergeAffine(before: Node, { scale, shift, activation }: Affine): Node | undefined {
  const moved = (values: Float64Array): Float64Array => values.map((each, at) => each * scale[at]! + shift[at]!);
  switch (before.op) {
    case "affine":
      return {
        ...before,
        activation,
        scale: before.scale.map((each, at) => each * scale[at]!),
        shift: moved(before.shift),
      };
    case "conv":
    case "depthwise":
    case "dense": {
      const data = before.weight.data.map((each, at) => each * scale[at % scale.length]!);
      return { ...before, activation, weight: { ...before.weight, data }, bias: moved(before.bias) };
    }
    default:
      return undefined;
  }
}

/** x · (erf(x / √2) / 2 + 1/2) is one operation, which LiteRT has under its name and not in parts. */
export function withGelu(graph: Graph): Graph {
  const makers = new Map(graph.nodes.map((node) => [node.out, node]));
  const isAffine = (node: Node | undefined, scale: number, shift: number): node is Affine =>
    node?.op === "affine" &&
    node.activation === "none" &&
    node.scale.every((each) => Math.abs(each - scale) < 1e-6) &&
    node.shift.every((each) => Math.abs(each - shift) < 1e-6);
  const share = (value: string, x: string): boolean => {
    const half = makers.get(value);
    if (!isAffine(half, 0.5, 0.5)) return false;
    const erf = makers.get(half.x);
    if (erf?.op !== "erf") return false;
    const root = makers.get(erf.x);
    return isAffine(root, Math.SQRT1_2, 0) && root.x === x;
  };
  const nodes = graph.nodes.map((node): Node => {
    if (node.op !== "mul" || node.activation !== "none") return node;
    const { a, b, out, activation } = node;
    if (share(b, a)) return { op: "gelu", x: a, out, activation };
    return share(a, b) ? { op: "gelu", x: b, out, activation } : node;
  });
  return { ...graph, nodes };
}

/** Values named by their layers, each once: "layer1.0.conv1", "layer1.0.add". */
function named(graph: Graph, layers: ReadonlyMap<string, string>): Graph {
  const taken = new Set([graph.input, "logits"]);
  const names = new Map([
    [graph.input, graph.input],
    [graph.output, "logits"],
  ]);
  for (const { out, op } of graph.nodes) {
    if (names.has(out)) continue;
    const base = layers.get(out) || op;
    let name = base;
    for (let number = 1; taken.has(name); number++) name = `${base}_${number}`;
    taken.add(name);
    names.set(out, name);
  }
  const nameOf = (value: string): string => names.get(value)!;
  return {
    input: graph.input,
    output: "logits",
    nodes: graph.nodes.map((node) => ({ ...withInputs(node, nameOf), out: nameOf(node.out) })),
    shapes: new Map([...names].map(([value, name]) => [name, graph.shapes.get(value)!])),
  };
}

/**
 * The graph for bytes' values, 0 to 255. Normalising is a node of its own and is not folded into the first convolution, whose
 * zeros are put around the normalised image.
 */
export function withNormalising(
  graph: Graph,
  { mean, deviation }: { mean: readonly number[]; deviation: readonly number[] },
): Graph {
  const normalise: Affine = {
    op: "affine",
    x: graph.input,
    scale: Float64Array.from(deviation, (each) => 1 / (255 * each)),
    shift: Float64Array.from(mean, (each, at) => -each / deviation[at]!),
    activation: "none",
    out: "normalised",
  };
  const nodes = graph.nodes.map((node) => withInputs(node, (value) => (value === graph.input ? "normalised" : value)));
  const shapes = new Map(graph.shapes).set("normalised", graph.shapes.get(graph.input)!);
  return { ...graph, nodes: [normalise, ...nodes], shapes };
}

/** Logits divided by a temperature (Guo et al. 2017), which changes probabilities and no prediction. */
function withTemperature(graph: Graph, temperature: number): Graph {
  if (temperature === 1) return graph;
  const shape = graph.shapes.get(graph.output)!;
  const calibrated: Affine = {
    op: "affine",
    x: graph.output,
    scale: new Float64Array(shape.at(-1)!).fill(1 / temperature),
    shift: new Float64Array(shape.at(-1)!),
    activation: "none",
    out: "calibrated",
  };
  const shapes = new Map(graph.shapes).set("calibrated", shape);
  return { ...graph, output: "calibrated", nodes: [...graph.nodes, calibrated], shapes };
}

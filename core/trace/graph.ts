/**
 * A network as a small graph: NHWC, float32, constants inline. A model's evaluation is traced into it (trace.ts), simplified
 * (passes.ts) and run as the oracle of both (interpret.ts). Every format of `export/` is written from it.
 */

/** Zeros around an image, or what never wins around a max pool, in pixels. */
export type Pads = readonly [top: number, left: number, bottom: number, right: number];

export interface Constant {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What follows an operation inside of it. */
export type Activation = "none" | "relu" | "relu6";

interface Operation {
  /** The value that the operation makes. */
  readonly out: string;
  /** Values of the traced graph that became this one, in their order: a convolution, its norm, their ReLU. */
  readonly parts?: readonly string[];
  readonly activation: Activation;
}

/** Weights [height, width, in, out]. */
export interface Convolution extends Operation {
  readonly op: "conv";
  readonly x: string;
  readonly weight: Constant;
  readonly bias: Float64Array;
  readonly stride: number;
  readonly pads: Pads;
}
/** Weights [height, width, channels, 1]. */
export interface DepthwiseConvolution extends Omit<Convolution, "op"> {
  readonly op: "depthwise";
}
/** x · scale + shift, per channel (the last axis). */
export interface Affine extends Operation {
  readonly op: "affine";
  readonly x: string;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}
/** Weights [in, out]. */
export interface Dense extends Operation {
  readonly op: "dense";
  readonly x: string;
  readonly weight: Constant;
  readonly bias: Float64Array;
}
export interface Binary extends Operation {
  readonly op: "add" | "mul";
  readonly a: string;
  readonly b: string;
}
/** Mean over height and width. */
export interface Mean extends Operation {
  readonly op: "mean";
  readonly x: string;
  readonly keepDims: boolean;
}
export interface MaxPool extends Operation {
  readonly op: "max-pool";
  readonly x: string;
  readonly size: readonly [height: number, width: number];
  readonly strides: readonly [height: number, width: number];
  readonly pads: Pads;
}
export interface Unary extends Operation {
  readonly op: "relu" | "relu6" | "sigmoid" | "erf" | "gelu";
  readonly x: string;
}
export interface Reshape extends Operation {
  readonly op: "reshape";
  readonly x: string;
  /** -1 for the batch. */
  readonly shape: readonly number[];
}

export type Node = Convolution | DepthwiseConvolution | Affine | Dense | Binary | Mean | MaxPool | Unary | Reshape;

export interface Graph {
  readonly input: string;
  readonly output: string;
  /** In an order in which each value is made before it is used. */
  readonly nodes: readonly Node[];
  /** Value -> its shape, -1 for the batch. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

export const inputsOf = (node: Node): string[] => ("a" in node ? [node.a, node.b] : [node.x]);

/** The same node with other names of its inputs. */
export const withInputs = (node: Node, rename: (value: string) => string): Node =>
  "a" in node ? { ...node, a: rename(node.a), b: rename(node.b) } : { ...node, x: rename(node.x) };

export const shapeOf = ({ shapes }: Graph, value: string): readonly number[] => shapes.get(value)!;

export const channelsOf = (graph: Graph, value: string): number => shapeOf(graph, value).at(-1)!;

/** Multiply-adds for one image. */
export function multiplyAdds(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => {
    if (!("weight" in node)) return sum;
    const shape = shapeOf(graph, node.out);
    return sum + node.weight.data.length * (shape.length === 4 ? shape[1]! * shape[2]! : 1);
  }, 0);
}

/** Runs a graph on the current backend: the oracle of every pass, and what calibration and the simulation of int8 look at. */
import * as tf from "@tensorflow/tfjs-core";
import { type Activation, type Graph, inputsOf, type Node, type Pads } from "./graph.js";

/** A value that never wins in a max pool. */
export const lowest = -3.4e38;

/** Receives each value as it is computed, and returns the value to continue with. */
export type Observe = (value: string, tensor: tf.Tensor) => tf.Tensor;

/**
 * Logits [batch, classes] of images [batch, size, size, 3], values 0 to 255 where the graph normalises. A value is freed after
 * its last use: all of them, of a batch of photos, are gigabytes.
 */
export function interpret(graph: Graph, images: tf.Tensor, observe: Observe = (_, tensor) => tensor): tf.Tensor {
  return tf.tidy(() => {
    const lastUse = new Map(graph.nodes.flatMap((node, at) => inputsOf(node).map((value) => [value, at] as const)));
    const values = new Map([[graph.input, observe(graph.input, images)]]);
    graph.nodes.forEach((node, at) => {
      const made = tf.tidy(() =>
        observe(
          node.out,
          activate(
            node.activation,
            compute(node, (value) => values.get(value)!),
          ),
        ),
      );
      values.set(node.out, made);
      for (const value of inputsOf(node)) {
        if (lastUse.get(value) !== at || value === graph.input || value === graph.output) continue;
        const used = values.get(value);
        if (used && !used.kept) used.dispose(); // who observes may keep it
        values.delete(value);
      }
    });
    return values.get(graph.output)!;
  });
}

function compute(node: Node, get: (value: string) => tf.Tensor): tf.Tensor {
  switch (node.op) {
    case "conv":
    case "depthwise": {
      const { data, shape } = node.weight;
      const weight = tf.tensor4d(data, shape as [number, number, number, number]);
      const convolve = node.op === "conv" ? tf.conv2d : tf.depthwiseConv2d;
      return tf.add(convolve(pad(get(node.x), node.pads), weight, node.stride, "valid"), vector(node.bias));
    }
    case "affine":
      return tf.add(tf.mul(get(node.x), vector(node.scale)), vector(node.shift));
    case "dense": {
      const weight = tf.tensor2d(node.weight.data, node.weight.shape as [number, number]);
      return tf.add(tf.matMul(get(node.x) as tf.Tensor2D, weight), vector(node.bias));
    }
    case "add":
      return tf.add(get(node.a), get(node.b));
    case "mul":
      return tf.mul(get(node.a), get(node.b));
    case "mean":
      return tf.mean(get(node.x), [1, 2], node.keepDims);
    case "max-pool":
      return tf.maxPool(pad(get(node.x), node.pads, lowest), [...node.size], [...node.strides], "valid");
    case "relu":
    case "relu6":
      return activate(node.op, get(node.x));
    case "sigmoid":
      return tf.sigmoid(get(node.x));
    case "erf":
      return tf.erf(get(node.x));
    case "gelu": {
      const x = get(node.x);
      return tf.mul(x, tf.add(tf.mul(tf.erf(tf.mul(x, Math.SQRT1_2)), 0.5), 0.5));
    }
    case "reshape":
      return tf.reshape(get(node.x), [...node.shape]);
  }
}

function activate(activation: Activation, x: tf.Tensor): tf.Tensor {
  if (activation === "none") return x;
  return activation === "relu" ? tf.relu(x) : tf.relu6(x);
}

const vector = (values: Float64Array): tf.Tensor1D => tf.tensor1d(Float32Array.from(values));

function pad(x: tf.Tensor, [top, left, bottom, right]: Pads, value = 0): tf.Tensor4D {
  if (top + left + bottom + right === 0) return x as tf.Tensor4D;
  const around: [number, number][] = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  return tf.pad(x, around, value) as tf.Tensor4D;
}

/**
 * A model's evaluation as a graph. The model runs twice, at two batch sizes, while its calls of TensorFlow's addon are
 * recorded: no layer has an exporter of its own, and what a plugin added comes along.
 */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { type Layer, type Weights, zeroWeights } from "../nn/layer.js";
import type { Graph } from "./graph.js";
import { record } from "./record.js";
import { type Operands, translate } from "./translate.js";

export interface Traced {
  readonly graph: Graph;
  /** Value -> full name of the layer that gave it. */
  readonly layers: ReadonlyMap<string, string>;
  /** Value -> what its operation took; values of operations that took nothing are not there. */
  readonly operands: ReadonlyMap<string, Operands>;
}

/**
 * The graph of a model's logits for images [batch, size, size, 3], as the network sees them (normalised).
 *
 * @param layer as built, not `inPrecision`: a bfloat16 run is exported in float32
 * @throws TrainerError ERR_EXPORT for an operation that no format knows, ERR_BACKEND without TensorFlow
 */
export function trace(layer: Layer, weights: Weights, size: number): Traced {
  const two = record(layer, weights, [2, size, size, 3]);
  const three = record(layer, weights, [3, size, size, 3]);
  if (two.operations.length !== three.operations.length) {
    throw new TrainerError(
      "ERR_EXPORT",
      "This model cannot be exported: it computes something else for another batch size.",
    );
  }
  const { graph, operands } = translate(two, three, size);
  return { graph, layers: two.layers, operands };
}

/** The graph of a network whose values do not matter: of zeros. */
export function structureOf(layer: Layer, size: number): Traced {
  const weights = zeroWeights(layer);
  try {
    return trace(layer, weights, size);
  } finally {
    tf.dispose([...weights.values()]);
  }
}

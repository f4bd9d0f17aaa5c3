/** Moving a model's weights to and from safetensors with PyTorch's names and layouts. */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { type Layer, type Layout, namedBuffers, namedParameters, type Weights } from "./layer.js";
import { readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from "./safetensors.js";

/** PyTorch's axes as places of ours: [out, in, height, width] of [height, width, in, out]. */
const torchAxes: Readonly<Record<Layout, readonly number[]>> = {
  conv: [3, 2, 0, 1],
  depthwise: [2, 3, 0, 1],
  linear: [1, 0],
  vector: [0],
};

/** How a file holds one value. */
export interface TorchPlace {
  /** Here, of each of PyTorch's axes. */
  readonly axes: readonly number[];
  /** In PyTorch's layout. */
  readonly shape: readonly number[];
}

/** Every parameter and buffer of a model, as PyTorch's `state_dict` has it without `num_batches_tracked`. */
export function torchPlaces(layer: Layer): Map<string, TorchPlace> {
  const all = new Map<string, TorchPlace>();
  for (const [name, { shape, layout }] of namedParameters(layer)) {
    const axes = torchAxes[layout];
    all.set(name, { axes, shape: axes.map((axis) => shape[axis]!) });
  }
  for (const [name, { shape }] of namedBuffers(layer)) all.set(name, { axes: torchAxes.vector, shape });
  return all;
}

/**
 * A file that `load_state_dict` of the same network in PyTorch takes. It has no `num_batches_tracked`, which
 * PyTorch fills in by itself.
 *
 * @throws TrainerError ERR_WEIGHTS if the weights are not those of the layer
 */
export function weightsToSafetensors(
  weights: ReadonlyMap<string, tf.Tensor>,
  layer: Layer,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const wanted = torchPlaces(layer);
  const stored = new Map<string, StoredTensor>();
  // Bytes are made outside: a tidy looks for tensors in every element it returns, here for half a minute.
  tf.tidy(() => {
    const turned = new Map<string, tf.Tensor>();
    for (const [name, tensor] of weights) {
      const axes = wanted.get(name)?.axes;
      turned.set(name, axes?.length === tensor.rank ? tf.transpose(tensor, [...axes]) : tensor);
    }
    checkFit(turned, wanted, "Weights to be written");
    for (const [name, tensor] of turned) {
      stored.set(name, { dtype: "F32", shape: tensor.shape, data: tensor.dataSync() as Float32Array });
    }
  });
  return writeSafetensors(stored, metadata);
}

/**
 * The weights of a layer out of a file by this project or PyTorch: F32, or F64, F16, BF16 turned into
 * float32. `num_batches_tracked` is passed over, since nothing here counts batches. The caller owns the
 * tensors.
 *
 * @param where whose bytes these are, for messages: a path
 * @throws TrainerError ERR_WEIGHTS for a damaged file; or one that lists every name that is missing,
 *   unexpected or of another shape or type
 */
export function weightsFromSafetensors(bytes: Uint8Array, layer: Layer, where = "The weights file"): Weights {
  const { tensors } = readSafetensors(bytes, where);
  const wanted = torchPlaces(layer);
  for (const name of tensors.keys()) if (name.endsWith(".num_batches_tracked")) tensors.delete(name);
  checkFit(tensors, wanted, where);
  const weights: Weights = new Map();
  // In the model's order, so that loaded and initial weights look the same to whoever walks over them.
  for (const [name, place] of wanted) weights.set(name, turnedBack(tensors.get(name)!, place));
  return weights;
}

/** What a file and a model have in common, by name; every other name is in one of the lists. */
export interface CommonWeights {
  /** Of one name and shape. The caller owns the tensors. */
  readonly weights: Weights;
  /** Of one name, but of another shape or not floating-point. */
  readonly different: readonly string[];
  /** In the model alone. */
  readonly missing: readonly string[];
  /** In the file alone, `num_batches_tracked` apart. */
  readonly unexpected: readonly string[];
}

/**
 * As `weightsFromSafetensors`, for a file of a network that is only partly this one: another head, say.
 *
 * @throws TrainerError ERR_WEIGHTS for a damaged file
 */
export function commonWeights(bytes: Uint8Array, layer: Layer, where = "The weights file"): CommonWeights {
  const { tensors } = readSafetensors(bytes, where);
  const wanted = torchPlaces(layer);
  const weights: Weights = new Map();
  const different: string[] = [];
  for (const [name, place] of wanted) {
    const tensor = tensors.get(name);
    if (!tensor) continue;
    const fits = floats.has(tensor.dtype) && String(tensor.shape) === String(place.shape);
    if (fits) weights.set(name, turnedBack(tensor, place));
    else different.push(name);
  }
  return {
    weights,
    different,
    missing: [...wanted.keys()].filter((name) => !tensors.has(name)),
    unexpected: [...tensors.keys()].filter((name) => !wanted.has(name) && !name.endsWith(".num_batches_tracked")),
  };
}

/** A stored floating-point tensor in our layout. */
function turnedBack(tensor: StoredTensor, { axes, shape }: TorchPlace): tf.Tensor {
  const back = shape.map((_, axis) => axes.indexOf(axis));
  return tf.tidy(() => tf.transpose(tf.tensor(toFloat32(tensor)!, [...shape], "float32"), back));
}

/** A tensor in memory is "float32", one in a file "F32" or another. */
type Found = Pick<StoredTensor, "shape"> & { readonly dtype: string };

/** Everything that does not fit, in one error: one name at a time would take a try for each mistake. */
function checkFit(found: ReadonlyMap<string, Found>, wanted: ReadonlyMap<string, TorchPlace>, where: string): void {
  const missing = [...wanted.keys()].filter((name) => !found.has(name));
  const unexpected = [...found.keys()].filter((name) => !wanted.has(name));
  const different = [...wanted].flatMap(([name, { shape }]) => {
    const tensor = found.get(name);
    if (!tensor) return [];
    if (String(tensor.shape) !== String(shape)) {
      return [`${name} is [${tensor.shape.join(", ")}] and should be [${shape.join(", ")}]`];
    }
    return floats.has(tensor.dtype) ? [] : [`${name} is ${tensor.dtype} and should be floating-point`];
  });
  const problems = [
    ...listed("missing", missing),
    ...listed("unexpected", unexpected),
    ...listed("different", different),
  ];
  if (problems.length === 0) return;
  throw new TrainerError("ERR_WEIGHTS", `${where} and the model do not fit: ${problems.join("; ")}.`);
}

const floats = new Set(["F32", "F64", "F16", "BF16", "float32"]);
const mostListed = 10;

function listed(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length > mostListed ? `, and ${names.length - mostListed} more` : "";
  return [`${names.length} ${what} (${names.slice(0, mostListed).join(", ")}${more})`];
}

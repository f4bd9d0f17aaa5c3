/** Moving a model's weights to and from safetensors with PyTorch's names and layouts. */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { type Layer, type Layout, namedBuffers, namedParameters, type Weights } from "./layer.js";
import {
  readSafetensors,
  type StoredTensor,
  toFloat32,
  writeCheckedSafetensors,
  writeSafetensors,
} from "./safetensors.js";

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
 * @param checksum add one to the metadata, which `readSafetensors` compares
 * @throws TrainerError ERR_WEIGHTS if the weights are not those of the layer
 */
export function weightsToSafetensors(
  weights: ReadonlyMap<string, tf.Tensor>,
  layer: Layer,
  metadata: Readonly<Record<string, string>> = {},
  { checksum = false }: { checksum?: boolean } = {},
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
  return checksum ? writeCheckedSafetensors(stored, metadata) : writeSafetensors(stored, metadata);
}

/**
 * The weights of a layer out of a file by this project or PyTorch: F32, or F64, F16, BF16 converted to float32.
 * `num_batches_tracked` is ignored, since nothing here counts batches. The caller owns the tensors.
 *
 * @param where whose bytes these are, for messages: a path
 * @throws TrainerError ERR_WEIGHTS for a damaged file; one that lists every name that is missing, unexpected or of
 *   another shape or type; values that no network has
 */
export function weightsFromSafetensors(bytes: Uint8Array, layer: Layer, where = "The weights file"): Weights {
  const { tensors } = readSafetensors(bytes, where);
  const wanted = torchPlaces(layer);
  for (const name of tensors.keys()) if (name.endsWith(".num_batches_tracked")) tensors.delete(name);
  checkFit(tensors, wanted, where);
  // In the model's order, so that loaded and initial weights have the same order.
  return converted(tensors, wanted, [...wanted.keys()], where);
}

/** What a file and a model have in common, by name; every other name is in one of the lists. */
export interface CommonWeights {
  /** Of one name and shape. The caller owns the tensors. */
  readonly weights: Weights;
  /** Of one name, but of another shape or not floating-point. */
  readonly different: readonly string[];
  /** In the model alone. */
  readonly missing: readonly string[];
  /** In the file alone, except `num_batches_tracked`. */
  readonly unexpected: readonly string[];
  /** A prefix of every name in the file, left out of the names here: "module.", "_orig_mod.", or both. Often "". */
  readonly prefix: string;
  /** Element types of the file that were converted to float32: F16, BF16 or F64. */
  readonly convertedFrom: readonly string[];
}

/**
 * As `weightsFromSafetensors`, for a file of a network that is only partly this one: with another head, say. Prefixes of
 * PyTorch's wrappers (DataParallel, torch.compile) are removed.
 *
 * @throws TrainerError ERR_WEIGHTS for a damaged file, and for values that no network has
 */
export function commonWeights(bytes: Uint8Array, layer: Layer, where = "The weights file"): CommonWeights {
  const content = readSafetensors(bytes, where).tensors;
  const prefix = wrapperPrefix([...content.keys()]);
  const tensors = new Map([...content].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  const wanted = torchPlaces(layer);
  const common = [...wanted.keys()].filter((name) => tensors.has(name));
  const fits = (name: string): boolean => {
    const { dtype, shape } = tensors.get(name)!;
    return floats.has(dtype) && String(shape) === String(wanted.get(name)!.shape);
  };
  const fitting = common.filter(fits);
  return {
    weights: converted(tensors, wanted, fitting, where),
    different: common.filter((name) => !fits(name)),
    missing: [...wanted.keys()].filter((name) => !tensors.has(name)),
    unexpected: [...tensors.keys()].filter((name) => !wanted.has(name) && !name.endsWith(".num_batches_tracked")),
    prefix,
    convertedFrom: [...new Set(fitting.map((name) => tensors.get(name)!.dtype))].filter((dtype) => dtype !== "F32"),
  };
}

/** What PyTorch's DataParallel and torch.compile put before every name. */
const wrappers = ["module.", "_orig_mod."];

function wrapperPrefix(names: readonly string[]): string {
  let prefix = "";
  for (;;) {
    const next = wrappers.find((each) => names.length > 0 && names.every((name) => name.startsWith(prefix + each)));
    if (next === undefined) return prefix;
    prefix += next;
  }
}

/** Floating-point tensors of a file in our layout, once every value of them is known to be possible. */
function converted(
  tensors: ReadonlyMap<string, StoredTensor>,
  wanted: ReadonlyMap<string, TorchPlace>,
  names: readonly string[],
  where: string,
): Weights {
  const values = names.map((name) => [name, toFloat32(tensors.get(name)!)!] as const);
  const problems = values.flatMap(([name, numbers]) => impossible(name, numbers) ?? []);
  if (problems.length > 0) {
    const text = `${where} has values that no working network has: ${listed("tensors", problems).join()}`;
    throw new TrainerError("ERR_WEIGHTS", `${text}. Was the training stopped after it diverged?`);
  }
  return new Map(values.map(([name, numbers]) => [name, toOurLayout(numbers, wanted.get(name)!)]));
}

/** What is wrong with a tensor's values; a variance below zero would become NaN in its norm. */
function impossible(name: string, values: Float32Array): string | undefined {
  const least = name.endsWith(".running_var") ? 0 : Number.NEGATIVE_INFINITY;
  const place = values.findIndex((value) => !Number.isFinite(value) || value < least);
  return place < 0 ? undefined : `${name} has ${values[place]} at ${place}`;
}

function toOurLayout(values: Float32Array, { axes, shape }: TorchPlace): tf.Tensor {
  const back = shape.map((_, axis) => axes.indexOf(axis));
  return tf.tidy(() => tf.transpose(tf.tensor(values, [...shape], "float32"), back));
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
      return [`${name} has shape [${tensor.shape.join(", ")}], expected [${shape.join(", ")}]`];
    }
    return floats.has(tensor.dtype) ? [] : [`${name} has type ${tensor.dtype}, expected a floating-point type`];
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

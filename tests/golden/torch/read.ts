/** Reads the golden files beside it; README.md there says what they hold. */
import * as tf from "@tensorflow/tfjs-core";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readSafetensors, toFloat32, type StoredTensor } from "../../../core/nn/safetensors.js";

export type GoldenTensors = ReadonlyMap<string, StoredTensor>;

export const goldenBytes = (path: string): Uint8Array =>
  readFileSync(fileURLToPath(new URL(path, import.meta.url)));

export const goldenJson = <T>(path: string): T =>
  JSON.parse(new TextDecoder().decode(goldenBytes(path))) as T;

export const goldenTensors = (path: string): GoldenTensors =>
  readSafetensors(goldenBytes(path), path).tensors;

/** A golden tensor as it lies in the file: feature maps are NHWC, weights in PyTorch's layout. */
export function goldenTensor(tensors: GoldenTensors, name: string): tf.Tensor {
  const stored = tensors.get(name);
  if (!stored) throw new Error(`The golden file has no "${name}".`);
  const values = toFloat32(stored) ?? (stored.data as Int32Array);
  return tf.tensor(values, [...stored.shape], stored.dtype === "I32" ? "int32" : "float32");
}

/** |found − wanted| / |wanted|, Euclidean; infinite for another length or anything that is not a number. */
export function relativeDifference(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (found.length !== wanted.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let index = 0; index < wanted.length; index++) {
    difference += (found[index]! - wanted[index]!) ** 2;
    size += wanted[index]! ** 2;
  }
  const relative = Math.sqrt(difference) / Math.max(Math.sqrt(size), 1e-30);
  return Number.isNaN(relative) ? Infinity : relative;
}

/** What a tap may return, hook by hook. Each answers what is wrong, or undefined. Cheap: they run at every call. */
import type * as tf from "@tensorflow/tfjs-core";
import type { Sample } from "../data/dataset.js";
import type { Layer } from "../nn/layer.js";
import { show } from "../options.js";
import type { Batch, Evaluation, Gradients, Metrics, ParamGroup } from "./types.js";

export function layer(next: Layer): string | undefined {
  return typeof next.forward === "function" ? undefined : "it must return a layer: { kind, forward, … }.";
}

export function sample(next: Sample, previous: Sample): string | undefined {
  if (!(next.pixels instanceof Uint8Array)) return "a sample's pixels must be a Uint8Array.";
  if (next.pixels.length !== next.height * next.width * 3) {
    return `a sample of ${next.height} × ${next.width} has ${next.height * next.width * 3} bytes, and ${next.pixels.length} came.`;
  }
  if (next.index !== previous.index) return `a sample keeps its index (${previous.index}), and ${next.index} came.`;
  return undefined;
}

export function batch(next: Batch, previous: Batch): string | undefined {
  const [size, classes] = previous.targets.shape;
  if (next.images?.rank !== 4 || next.images.shape[0] !== size || next.images.shape[3] !== 3) {
    return `images must be [${size}, height, width, 3], and [${next.images?.shape}] came.`;
  }
  if (next.targets?.rank !== 2 || next.targets.shape[0] !== size || next.targets.shape[1] !== classes) {
    return `targets must be [${size}, ${classes}], and [${next.targets?.shape}] came.`;
  }
  if (next.labels !== previous.labels || next.indices !== previous.indices) {
    return "labels and indices are what the pictures truly are; a tap passes them on as they came.";
  }
  return undefined;
}

export function loss(next: tf.Tensor): string | undefined {
  return next.rank === 0 ? undefined : `a loss is one number, and a tensor of [${next.shape}] came.`;
}

export function gradients(next: Gradients, previous: Gradients): string | undefined {
  if (!(next instanceof Map)) return `gradients are a Map from names to tensors, and ${show(next)} came.`;
  if (next.size !== previous.size) return `${previous.size} gradients came in, and ${next.size} came back.`;
  for (const [name, gradient] of next as Gradients) {
    const before = previous.get(name);
    if (!before) return `it returned a gradient of "${name}", which is not being trained.`;
    if (before.shape.join() !== gradient.shape.join()) {
      return `the gradient of "${name}" is [${before.shape}], and [${gradient.shape}] came.`;
    }
  }
  return undefined;
}

export function groups(next: readonly ParamGroup[], previous: readonly ParamGroup[]): string | undefined {
  if (!Array.isArray(next)) return `groups are a list, and ${show(next)} came.`;
  const seen = new Map<string, string>();
  for (const group of next as readonly ParamGroup[]) {
    if (!Number.isFinite(group.rateFactor) || group.rateFactor < 0) {
      return `group "${group.name}" has the rate factor ${group.rateFactor}; it must be a number from 0.`;
    }
    for (const name of group.parameters) {
      if (seen.has(name)) return `"${name}" is in two groups, "${seen.get(name)}" and "${group.name}".`;
      seen.set(name, group.name);
    }
  }
  const lost = previous.flatMap((group) => group.parameters).find((name) => !seen.has(name));
  return lost === undefined ? undefined : `"${lost}" is in no group any more. To freeze it, set trains: false.`;
}

export function rate(next: number): string | undefined {
  return typeof next === "number" && Number.isFinite(next) && next >= 0
    ? undefined
    : `a learning rate is a finite number from 0, and ${show(next)} came.`;
}

export function evaluation(next: Evaluation, previous: Evaluation): string | undefined {
  if (!(next.views?.length > 0)) return "an evaluation needs at least one view.";
  for (const [name, value] of previous.weights) {
    const given = next.weights?.get(name);
    if (!given) return `the weights lack "${name}".`;
    if (given.shape.join() !== value.shape.join()) {
      return `"${name}" is [${value.shape}], and [${given.shape}] came.`;
    }
  }
  return undefined;
}

export function metrics(next: Metrics): string | undefined {
  return typeof next.loss === "number" && typeof next.top1 === "number"
    ? undefined
    : "metrics have at least loss and top1.";
}

export function answer(next: unknown): string | undefined {
  return typeof next === "boolean" ? undefined : `the answer is true, false or undefined, and ${show(next)} came.`;
}

export function reason(next: unknown): string | undefined {
  return typeof next === "string" && next !== ""
    ? undefined
    : `the answer is a reason in words or undefined, and ${show(next)} came.`;
}

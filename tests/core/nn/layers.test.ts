/** Every layer, forward and backward, against PyTorch's numbers, on both backends. */
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { forward, type Layer, namedParameters, type Weights } from "../../../core/nn/layer.js";
import { activation, batchNorm, conv2d, depthwiseConv2d, linear } from "../../../core/nn/layers.js";
import * as ops from "../../../core/nn/ops.js";
import { readSafetensors, toFloat32, writeSafetensors } from "../../../core/nn/safetensors.js";
import { squeezeExcite } from "../../../core/nn/squeeze-excite.js";
import { weightsFromSafetensors, weightsToSafetensors } from "../../../core/nn/weights-file.js";
import { goldenJson, goldenTensor, goldenTensors, relativeDifference } from "../../golden/torch/read.js";

interface Case {
  name: string;
  kind: string;
  kernel: number;
  stride: number;
  padding: number;
  reduction: number;
  size: [number, number];
  tensors: Record<string, number[]>;
}

/**
 * The goldens are float64 results from float32 inputs, so this is our own rounding over at most 147 products.
 */
const tolerance = 2e-6;

const { cases } = goldenJson<{ cases: Case[] }>("layers.json");
const golden = goldenTensors("layers.safetensors");

/** How to build the layer of a case. */
const kinds: Record<string, (settings: Case) => Layer> = {
  conv: ({ kernel, stride, padding, tensors }) => {
    const [out, input] = tensors.weight as [number, number];
    return conv2d({ in: input, out, kernel, stride, padding, bias: "bias" in tensors });
  },
  depthwise: ({ kernel, stride, padding, tensors }) =>
    depthwiseConv2d({ channels: tensors.weight![0]!, kernel, stride, padding }),
  norm: ({ tensors }) => batchNorm(tensors.weight![0]!),
  "max-pool": ({ kernel, stride, padding }) => activation("max-pool", (x) => ops.maxPool(x, kernel, stride, padding)),
  "global-average-pool": () => activation("pool", ops.globalAveragePool),
  "global-max-pool": () => activation("pool", ops.globalMaxPool),
  resize: ({ size }) => activation("resize", (x) => ops.resize(x, ...size)),
  linear: ({ tensors }) => linear(tensors.weight![1]!, tensors.weight![0]!),
  "squeeze-excite": ({ tensors, reduction }) => {
    const channels = tensors.x!.at(-1)!;
    return squeezeExcite({ channels, squeezed: channels / reduction });
  },
  silu: () => activation("silu", ops.silu),
  relu: () => activation("relu", ops.relu),
};

/** The state of a case through our own file format, so that layouts are checked on the way. */
function weightsOf({ name, tensors }: Case, layer: Layer): Weights {
  const own = Object.keys(tensors).filter((key) => /(weight|bias|running_mean|running_var)$/.test(key));
  const state = own.filter((key) => !key.startsWith("d.") && !key.startsWith("after."));
  const stored = new Map(state.map((key) => [key, golden.get(`${name}.${key}`)!]));
  return weightsFromSafetensors(writeSafetensors(stored), layer);
}

function expectClose(found: ArrayLike<number>, key: string): void {
  const wanted = toFloat32(golden.get(key)!)!;
  expect(relativeDifference(found, wanted), key).toBeLessThan(tolerance);
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(async () => {
    await loadBackend({ name: backend });
    tf.engine().startScope();
  });
  afterAll(() => tf.engine().endScope());

  it.each(cases.map((each) => [each.name, each] as const))("%s", (name, settings) => {
    const layer = kinds[settings.kind]!(settings);
    const weights = weightsOf(settings, layer);
    const x = goldenTensor(golden, `${name}.x`);
    const names = [...namedParameters(layer).keys()];
    const statistics: Weights = new Map();
    const { value, grads } = tf.engine().gradients(
      () =>
        forward(layer, x, {
          weights,
          training: true,
          onBuffer: (buffer, next) => statistics.set(buffer, tf.keep(next)),
        }),
      [x, ...names.map((each) => weights.get(each)!)],
      goldenTensor(golden, `${name}.dy`),
      true,
    );

    expect(value.shape).toEqual(settings.tensors.y);
    expectClose(value.dataSync(), `${name}.y`);
    expectClose(grads[0]!.dataSync(), `${name}.dx`);
    if (names.length > 0) {
      // Gradients have the layout of what they are gradients of; running statistics only fill the file up.
      const gradients = new Map([...weights, ...names.map((key, place) => [key, grads[place + 1]!] as const)]);
      const inTorchLayout = readSafetensors(weightsToSafetensors(gradients, layer)).tensors;
      for (const key of names) expectClose(toFloat32(inTorchLayout.get(key)!)!, `${name}.d.${key}`);
    }
    for (const [key, next] of statistics) expectClose(next.dataSync(), `${name}.after.${key}`);
    expect(statistics.size).toBe(settings.kind === "norm" ? 2 : 0);
    if (settings.kind === "norm") {
      const moved = new Map([...weights, ...statistics]);
      expectClose(forward(layer, x, { weights: moved }).dataSync(), `${name}.evaluation`);
    }
  });
});

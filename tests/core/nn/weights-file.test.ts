import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { TrainerError } from "../../../core/errors.js";
import { efficientNetB0, resnet18 } from "../../../core/models/index.js";
import { initialWeights, type Layer, type Weights } from "../../../core/nn/layer.js";
import { batchNorm, conv2d, depthwiseConv2d, linear, sequential } from "../../../core/nn/layers.js";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../../core/nn/safetensors.js";
import { commonWeights, weightsFromSafetensors, weightsToSafetensors } from "../../../core/nn/weights-file.js";
import { makePart } from "../../../core/parts.js";
import { plain } from "../../support/golden-networks.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

const layer: Layer = sequential({
  conv: conv2d({ in: 2, out: 3, kernel: 3 }),
  bn: batchNorm(3),
  dw: depthwiseConv2d({ channels: 3, kernel: 1 }),
  fc: linear(3, 2),
});

const f32 = (shape: number[], data: number[]): StoredTensor => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(data),
});
const range = (length: number, from = 0): number[] => Array.from({ length }, (_, index) => from + index);

/** As PyTorch keeps it. */
const state = (): Map<string, StoredTensor> =>
  new Map([
    ["conv.weight", f32([3, 2, 3, 3], range(54))],
    ["bn.weight", f32([3], [1, 2, 3])],
    ["bn.bias", f32([3], [4, 5, 6])],
    ["bn.running_mean", f32([3], [7, 8, 9])],
    ["bn.running_var", f32([3], [10, 11, 12])],
    ["bn.num_batches_tracked", { dtype: "I64", shape: [], data: BigInt64Array.of(17n) }],
    ["dw.weight", f32([3, 1, 1, 1], [1, 2, 3])],
    ["fc.weight", f32([2, 3], range(6))],
    ["fc.bias", f32([2], [1, 2])],
  ]);

const valuesOf = (weights: Weights, name: string): number[] => [...weights.get(name)!.dataSync()];

describe("weightsFromSafetensors", () => {
  it("turns PyTorch's layouts", () => {
    const weights = weightsFromSafetensors(writeSafetensors(state()), layer);
    expect(weights.get("conv.weight")!.shape).toEqual([3, 3, 2, 3]);
    // [out 2, in 1, height 0, width 2] is 2 * 18 + 1 * 9 + 2 there, and at [0, 2, 1, 2] here.
    expect(valuesOf(weights, "conv.weight")[(2 * 2 + 1) * 3 + 2]).toBe(47);
    expect(weights.get("dw.weight")!.shape).toEqual([1, 1, 3, 1]);
    expect(weights.get("fc.weight")!.shape).toEqual([3, 2]);
    expect(valuesOf(weights, "fc.weight")).toEqual([0, 3, 1, 4, 2, 5]);
    expect(valuesOf(weights, "bn.running_var")).toEqual([10, 11, 12]);
  });

  it("gives names in the model's order, whatever the file's", () => {
    const names = [...initialWeights(layer, 1).keys()];
    const turned = new Map([...state()].reverse());
    expect([...weightsFromSafetensors(writeSafetensors(turned), layer).keys()]).toEqual(names);
  });

  it("reads halves, bfloat16 and doubles as float32", () => {
    const mixed = state();
    mixed.set("bn.weight", { dtype: "F16", shape: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x0001) });
    mixed.set("bn.bias", { dtype: "BF16", shape: [3], data: Uint16Array.of(0x3f80, 0xc000, 0x4049) });
    mixed.set("fc.bias", { dtype: "F64", shape: [2], data: Float64Array.of(0.1, 1e30) });
    const weights = weightsFromSafetensors(writeSafetensors(mixed), layer);
    expect(valuesOf(weights, "bn.weight")).toEqual([1, -2, 2 ** -24]);
    expect(valuesOf(weights, "bn.bias")).toEqual([1, -2, 3.140625]);
    expect(valuesOf(weights, "fc.bias")).toEqual([Math.fround(0.1), Math.fround(1e30)]);
  });

  it.each([
    ["a NaN", "fc.bias", [1, Number.NaN], "fc.bias has NaN at 1"],
    ["an infinity", "conv.weight", [...range(53), -Infinity], "conv.weight has -Infinity at 53"],
    ["a variance below zero", "bn.running_var", [1, 2, -1e-9], "bn.running_var has -9.999999717180685e-10 at 2"],
  ])("refuses %s, and leaves no tensor behind", (_, name, data, what) => {
    const damaged = state();
    damaged.set(name, f32([...damaged.get(name)!.shape], data));
    const before = tf.memory().numTensors;
    for (const read of [weightsFromSafetensors, commonWeights]) {
      expect(() => read(writeSafetensors(damaged), layer, "a.safetensors")).toThrow(
        `a.safetensors has values that no working network has: 1 tensors (${what}).`,
      );
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it("refuses a double that is no float32", () => {
    const large = state();
    large.set("fc.bias", { dtype: "F64", shape: [2], data: Float64Array.of(0, 1e300) });
    expect(() => weightsFromSafetensors(writeSafetensors(large), layer)).toThrow("fc.bias has Infinity at 1");
  });

  it("lists everything that does not fit in one error, and leaves no tensor behind", () => {
    const other = state();
    other.delete("bn.bias");
    other.delete("fc.weight");
    other.set("fc.scale", f32([2], [1, 2]));
    other.set("fc.bias", f32([10], range(10)));
    other.set("bn.weight", { dtype: "I32", shape: [3], data: Int32Array.of(1, 2, 3) });
    const bytes = writeSafetensors(other);
    const before = tf.memory().numTensors;
    const read = (): unknown => weightsFromSafetensors(bytes, layer, "other.safetensors");
    expect(read).toThrow(TrainerError);
    expect(read).toThrow(
      "other.safetensors and the model do not fit: 2 missing (bn.bias, fc.weight); 1 unexpected (fc.scale); " +
        "2 different (bn.weight has type I32, expected a floating-point type, fc.bias has shape [10], expected [2]).",
    );
    expect(tf.memory().numTensors).toBe(before);
  });

  it("shortens long lists", () => {
    const { layer: network } = makePart(resnet18({ width: 4 })).build(plain(10));
    expect(() => weightsFromSafetensors(writeSafetensors(new Map()), network)).toThrow(/102 missing .*, and 92 more/);
  });
});

describe("weightsToSafetensors", () => {
  it("writes what PyTorch wrote, but for the count of batches", () => {
    const original = state();
    const weights = weightsFromSafetensors(writeSafetensors(original), layer);
    original.delete("bn.num_batches_tracked");
    const bytes = weightsToSafetensors(weights, layer, { format: "pt" });
    expect(Buffer.compare(bytes, writeSafetensors(original, { format: "pt" }))).toBe(0);
  });

  it("moves a whole network out and in, bit for bit, without leaving a tensor", () => {
    const { layer: network } = makePart(efficientNetB0()).build(plain(3));
    tf.tidy(() => {
      const weights = initialWeights(network, 5);
      const before = tf.memory().numTensors;
      const bytes = weightsToSafetensors(weights, network);
      expect(tf.memory().numTensors).toBe(before);
      const back = weightsFromSafetensors(bytes, network);
      expect(tf.memory().numTensors).toBe(before + weights.size);
      expect([...back.keys()]).toEqual([...weights.keys()]);
      for (const [name, tensor] of weights) {
        const [found, wanted] = [back.get(name)!, tensor].map((each) => Buffer.from(each.dataSync().buffer));
        expect(back.get(name)!.shape, name).toEqual(tensor.shape);
        expect(Buffer.compare(found!, wanted!), name).toBe(0);
      }
    });
  });

  it("refuses the weights of another network", () => {
    const weights = initialWeights(layer, 1);
    weights.delete("fc.bias");
    weights.set("more", tf.zeros([1]));
    weights.set("bn.bias", tf.zeros([4]));
    expect(() => weightsToSafetensors(weights, layer)).toThrow(
      "Weights to be written and the model do not fit: 1 missing (fc.bias); 1 unexpected (more); " +
        "1 different (bn.bias has shape [4], expected [3]).",
    );
  });
});

describe("commonWeights", () => {
  it("takes what fits and names the rest", () => {
    const other = state();
    other.delete("bn.bias");
    other.set("head.weight", f32([1], [1]));
    other.set("fc.weight", f32([10, 3], range(30)));
    other.set("fc.bias", f32([10], range(10)));
    const { weights, missing, unexpected, different } = commonWeights(writeSafetensors(other), layer);
    const fitting = ["conv.weight", "bn.weight", "dw.weight", "bn.running_mean", "bn.running_var"];
    expect([...weights.keys()]).toEqual(fitting);
    expect({ missing, unexpected, different }).toEqual({
      missing: ["bn.bias"],
      unexpected: ["head.weight"],
      different: ["fc.weight", "fc.bias"],
    });
  });

  it.each(["module.", "_orig_mod.", "_orig_mod.module."])("removes the prefix %s, and says so", (prefix) => {
    const wrapped = new Map([...state()].map(([name, tensor]) => [prefix + name, tensor]));
    const common = commonWeights(writeSafetensors(wrapped), layer);
    expect(common).toMatchObject({ prefix, missing: [], unexpected: [], different: [], convertedFrom: [] });
    expect([...common.weights.keys()]).toEqual([...initialWeights(layer, 1).keys()]);
  });

  it("leaves a prefix that only some names have", () => {
    const some = state().set("module.bn.weight", f32([3], [1, 2, 3]));
    expect(commonWeights(writeSafetensors(some), layer)).toMatchObject({
      prefix: "",
      unexpected: ["module.bn.weight"],
    });
  });

  it("says which types it converted", () => {
    const mixed = state();
    mixed.set("bn.weight", { dtype: "F16", shape: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x0001) });
    mixed.set("bn.bias", { dtype: "BF16", shape: [3], data: Uint16Array.of(0x3f80, 0xc000, 0x4049) });
    expect(commonWeights(writeSafetensors(mixed), layer).convertedFrom.slice().sort()).toEqual(["BF16", "F16"]);
  });
});

it("reads what it wrote as a file that holds float32 in PyTorch's shapes", () => {
  const { layer: network } = makePart(resnet18({ width: 4 })).build(plain(10));
  const { tensors } = readSafetensors(weightsToSafetensors(initialWeights(network, 1), network));
  expect(tensors.get("layer2.0.downsample.0.weight")).toMatchObject({ dtype: "F32", shape: [8, 4, 1, 1] });
  expect(tensors.get("fc.weight")).toMatchObject({ dtype: "F32", shape: [10, 32] });
});

/**
 * Whole networks in evaluation mode against PyTorch's logits: activations, paddings and the order of things.
 */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { airbench } from "../../../core/models/index.js";
import { forward, type Layer, namedParameters, type Weights } from "../../../core/nn/layer.js";
import { writeSafetensors } from "../../../core/nn/safetensors.js";
import { torchPlaces, weightsFromSafetensors } from "../../../core/nn/weights-file.js";
import { makePart } from "../../../core/parts.js";
import { goldenJson, relativeDifference } from "../../golden/torch/read.js";
import { buildGolden, type GoldenNetwork, plain } from "../../support/golden-networks.js";

interface Golden extends GoldenNetwork {
  options: Record<string, unknown>;
  size: number;
  normScale: number;
  logits: number[][];
}

interface Airbench {
  size: 94 | 95 | 96;
  parameters: number;
  state: Record<string, number[]>;
  logits: number[][];
}

const { networks: airbenches } = goldenJson<{ networks: Airbench[] }>("airbench.json");
const { networks, classes, batch } = goldenJson<{ networks: Golden[]; classes: number; batch: number }>(
  "networks.json",
);

/**
 * float32 against float64, through up to a hundred layers; the wrong padding of one layer makes 1e-2 and
 * more.
 */
const tolerance = 2e-5;

/** The formula of networks.py: white noise in [0, 1) by place. */
function places(tensor: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, index) => {
    const x = Math.sin(index * 12.9898 + tensor * 78.233) * 43758.5453;
    return x - Math.floor(x);
  });
}

function values(name: string, shape: readonly number[], tensor: number, normScale = 1): Float32Array {
  const size = tf.util.sizeFromShape([...shape]);
  const deviation = Math.sqrt((6 * shape[0]!) / size);
  const offset = name.endsWith("weight") ? normScale : 0;
  return Float32Array.from(places(tensor, size), (u) => {
    if (name.endsWith("running_var")) return 0.5 + u;
    return shape.length === 1 ? 0.2 * (2 * u - 1) + offset : (2 * u - 1) * deviation;
  });
}

/** In PyTorch's order a norm's statistics follow its parameters, and tensors are numbered in that order. */
function stateOrder(layer: Layer, prefix = ""): string[] {
  const own = [...Object.keys(layer.parameters ?? {}), ...Object.keys(layer.buffers ?? {})];
  own.sort((a, b) => Number(b === "weight") - Number(a === "weight")); // first, also where it does not train
  const parts = Object.entries(layer.parts ?? {});
  return [
    ...own.map((name) => prefix + name),
    ...parts.flatMap(([name, part]) => stateOrder(part, `${prefix}${name}.`)),
  ];
}

function weightsOf(layer: Layer, normScale: number): Weights {
  const shapes = torchPlaces(layer);
  const state = stateOrder(layer).map((name, index) => {
    const { shape } = shapes.get(name)!;
    return [name, { dtype: "F32", shape, data: values(name, shape, index + 1, normScale) }] as const;
  });
  return weightsFromSafetensors(writeSafetensors(new Map(state)), layer);
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(() => loadBackend({ name: backend }));

  it.each(networks.map((each) => [`${each.model} ${JSON.stringify(each.options)}`, each] as const))(
    "%s",
    (_, golden) => {
      const { layer } = buildGolden({ ...golden, classes });
      const shape = [batch, golden.size, golden.size, 3];
      const found = tf.tidy(() => {
        const weights = weightsOf(layer, golden.normScale);
        return forward(layer, tf.tensor(values("images", shape, 0), shape), { weights }).dataSync();
      });
      expect(relativeDifference(found, golden.logits.flat())).toBeLessThan(tolerance);
    },
  );

  it.each(airbenches.map((each) => [each.size, each] as const))("airbench %i", (size, golden) => {
    const { layer } = makePart(airbench({ size })).build(plain(classes));
    expect(countOf(layer)).toBe(golden.parameters);
    expect(Object.fromEntries([...torchPlaces(layer)].map(([name, { shape }]) => [name, [...shape]]))).toEqual(
      golden.state,
    );
    const shape = [batch, 32, 32, 3];
    const found = tf.tidy(() => {
      const weights = weightsOf(layer, 1);
      return forward(layer, tf.tensor(values("images", shape, 0), shape), { weights }).dataSync();
    });
    expect(relativeDifference(found, golden.logits.flat())).toBeLessThan(tolerance);
  });
});

const countOf = (layer: Layer): number =>
  [...namedParameters(layer).values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

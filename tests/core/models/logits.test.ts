/**
 * Whole networks in evaluation mode against PyTorch's logits: activations, paddings and the order of things.
 */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { airbench } from "../../../core/models/index.js";
import { forward, type Layer, namedParameters } from "../../../core/nn/layer.js";
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

beforeAll(() => loadBackend({ name: "tensorflow" }));

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

/** A whole state as a file, which takes longer to make than the network to run. */
function stateOf(layer: Layer, normScale: number): Uint8Array {
  const shapes = torchPlaces(layer);
  const state = stateOrder(layer).map((name, index) => {
    const { shape } = shapes.get(name)!;
    return [name, { dtype: "F32", shape, data: values(name, shape, index + 1, normScale) }] as const;
  });
  return writeSafetensors(new Map(state));
}

/** On each backend, with one state for both. */
async function mustAnswer(layer: Layer, size: number, normScale: number, wanted: readonly number[][]): Promise<void> {
  const state = stateOf(layer, normScale);
  const shape = [batch, size, size, 3];
  const images = values("images", shape, 0);
  for (const name of ["tensorflow", "wasm"] as const) {
    await loadBackend({ name });
    const found = tf.tidy(() =>
      forward(layer, tf.tensor(images, shape), { weights: weightsFromSafetensors(state, layer) }).dataSync(),
    );
    expect(relativeDifference(found, wanted.flat()), name).toBeLessThan(tolerance);
  }
}

it.each(networks.map((each) => [`${each.model} ${JSON.stringify(each.options)}`, each] as const))(
  "%s",
  async (_, golden) => {
    const { layer } = buildGolden({ ...golden, classes });
    await mustAnswer(layer, golden.size, golden.normScale, golden.logits);
  },
);

it.each(airbenches.map((each) => [each.size, each] as const))("airbench %i", async (size, golden) => {
  const { layer } = makePart(airbench({ size })).build(plain(classes));
  expect(countOf(layer)).toBe(golden.parameters);
  expect(Object.fromEntries([...torchPlaces(layer)].map(([name, { shape }]) => [name, [...shape]]))).toEqual(
    golden.state,
  );
  await mustAnswer(layer, 32, 1, golden.logits);
});

const countOf = (layer: Layer): number =>
  [...namedParameters(layer).values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

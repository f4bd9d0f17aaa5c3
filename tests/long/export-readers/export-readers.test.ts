/**
 * The official runtimes read what `trainer export` writes: ONNX Runtime with ONNX's own check, and LiteRT. FITLOOP_EXPORT_PYTHON
 * names a Python that has them; without it, one is made in the user's cache with the versions of requirements.txt.
 *
 * FITLOOP_ACCEPT_EXPORTS=1 writes the hashes of the files that passed to tests/golden/export/accepted.json, which the quick
 * suite compares with.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import type { Split } from "../../../core/data/dataset.js";
import { shapes } from "../../../core/data/index.js";
import { modelByName, models } from "../../../core/models/index.js";
import { forward, initialWeights, type Layer, type Weights } from "../../../core/nn/layer.js";
import { append } from "../../../core/nn/layers.js";
import { squeezeExcite } from "../../../core/nn/squeeze-excite.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";
import { interpret } from "../../../core/trace/interpret.js";
import { simplify, withNormalising } from "../../../core/trace/passes.js";
import { trace } from "../../../core/trace/trace.js";
import { litert } from "../../../export/formats/litert.js";
import { onnx } from "../../../export/formats/onnx.js";
import { joined, type Pieces } from "../../../export/formats/pieces.js";
import { savedModel } from "../../../export/formats/saved-model.js";
import { tfjs } from "../../../export/formats/tfjs.js";
import { calibrate, quantizedValues, rounded, simulator, withRoundedWeights } from "../../../export/quantize.js";
import { description, everyOperation, largeLayers, pixels } from "../../support/every-operation.js";
import { filesToRead, kept, quantized } from "../../support/exported-files.js";
import { inBatches, withGraphModel, withSavedModel } from "../../support/read-exports.js";
import { readersPython } from "../../support/readers-python.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-exports-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => loadBackend({ name: "tensorflow" }));

interface Read {
  answers: Float32Array;
  operations: Record<string, number>;
  metadata?: Record<string, string>;
  files?: Record<string, string>;
  int8?: number;
  /** Tensors of floats that have a scale, which a script might multiply by. */
  scaledFloats?: string[];
  /** Of a .tflite where all were asked for: value -> its numbers. */
  values: ReadonlyMap<string, Float32Array>;
}

/** Runs files on images [count, size, size, 3] in their official runtime; file name -> what was found. */
function inOfficialReaders(
  files: Record<string, Uint8Array | Pieces>,
  images: Float32Array,
  shape: number[],
  { allValues = false } = {},
): Record<string, Read> {
  writeFileSync(join(folder, "images.f32"), Buffer.from(images.buffer));
  const jobs = Object.entries(files).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes instanceof Uint8Array ? bytes : joined(bytes));
    const output = join(folder, `${name}.f32`);
    const values = allValues ? join(folder, `${name}-value`) : undefined;
    return { model: join(folder, name), input: join(folder, "images.f32"), shape, output, values };
  });
  writeFileSync(join(folder, "jobs.json"), JSON.stringify(jobs));
  const requirements = join(import.meta.dirname, "requirements.txt");
  const python = readersPython("export-readers", requirements, process.env.FITLOOP_EXPORT_PYTHON);
  const script = join(import.meta.dirname, "read_models.py");
  const printed = execFileSync(python, [script, join(folder, "jobs.json")], { maxBuffer: 1e8 });
  const found = JSON.parse(printed.toString()) as Record<string, Omit<Read, "values"> & { values?: string[] }>;
  const numbers = (file: string): Float32Array => new Float32Array(new Uint8Array(readFileSync(file)).buffer);
  return Object.fromEntries(
    jobs.map(({ model, output, values: place }) => {
      const { values = [], ...rest } = found[model]!;
      const all = new Map(values.map((name, at) => [name, numbers(`${place}-${at}`)]));
      return [model.slice(folder.length + 1), { ...rest, values: all, answers: numbers(output) }];
    }),
  );
}

const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (each, at) => Math.abs(each - b[at]!)));

/** Of logits [images, classes]. */
const probabilitiesOf = (logits: Float32Array, classes = 5): Float32Array =>
  tf.tidy(() => tf.softmax(tf.tensor2d(logits, [logits.length / classes, classes])).dataSync() as Float32Array);

describe("a graph with every operation", () => {
  it("is read by ONNX Runtime and LiteRT, with the graph's answers, in each way of storing numbers", async () => {
    const files = await filesToRead();
    const images = pixels(16);
    const found = inOfficialReaders(files, images, [16, 12, 12, 3]);
    const [logits, int8, mixed, large] = tf.tidy(() => {
      const x = tf.tensor4d(images, [16, 12, 12, 3]);
      return [
        interpret(everyOperation, x).dataSync(),
        simulator(everyOperation, quantized)(x).dataSync(),
        simulator(everyOperation, quantized, kept)(x).dataSync(),
        interpret(largeLayers, x).dataSync(),
      ];
    }) as unknown as [Float32Array, Float32Array, Float32Array, Float32Array];
    const step = quantized.get("logits")!.scale;
    /** Logits, and by how much those of a reader may differ. */
    const wanted: Record<string, [Float32Array, number]> = {
      float32: [logits, 1e-5],
      float16: [logits, 1e-2],
      "int8-dynamic": [logits, 0.06],
      int8: [int8, 2.01 * step],
      "int8-kept": [mixed, 2.01 * step],
      "large-float32": [large, 1e-5],
      "large-int8-dynamic": [large, 0.01],
    };
    for (const [name, { answers }] of Object.entries(found)) {
      const [numbers, tolerance] = wanted[name.replace(/(-bytes)?\.\w+$/, "")]!;
      if (name.includes("-bytes")) expect(apart(answers, probabilitiesOf(numbers)), name).toBeLessThan(0.02);
      else expect(apart(answers, numbers), name).toBeLessThan(tolerance);
    }
    expect(JSON.parse(found["float32.onnx"]!.metadata!["fitloop.classes"]!)).toEqual(description.classes);
    expect(found["float32.tflite"]!.files).toEqual({
      "labels.txt": description.classes.map((each) => `${each}\n`).join(""),
      "input.json": `${found["float32.onnx"]!.metadata!["fitloop.input"]}\n`,
    });
    for (const [name, { scaledFloats }] of Object.entries(found)) expect(scaledFloats ?? [], name).toEqual([]);
    // Whole numbers, not floats between conversions.
    expect(found["int8.onnx"]!.operations).toMatchObject({ QLinearConv: 4 });
    expect(found["int8.onnx"]!.operations).not.toHaveProperty("Conv");
    expect(found["int8.tflite"]!.operations).toMatchObject({ QUANTIZE: 1, DEQUANTIZE: 1, GELU: 1 });
    expect(found["large-int8-dynamic.tflite"]!.int8).toBe(4); // its weights
    expect(found["int8-kept.onnx"]!.operations).toMatchObject({ QLinearConv: 3, Conv: 1 });
    expect(found["int8-kept.tflite"]!.operations).toMatchObject({ QUANTIZE: 3, DEQUANTIZE: 4 });
    if (process.env.FITLOOP_ACCEPT_EXPORTS) {
      const hashes = Object.entries(files).map(([name, bytes]) => [
        name,
        createHash("sha256").update(bytes).digest("hex"),
      ]);
      const golden = join(import.meta.dirname, "../../golden/export");
      mkdirSync(golden, { recursive: true });
      writeFileSync(join(golden, "accepted.json"), `${JSON.stringify(Object.fromEntries(hashes), null, 2)}\n`);
    }
  });
});

describe("networks", () => {
  const networks: [string, Record<string, unknown>, number, boolean][] = [
    ["resnet18", { width: 8, stem: "cifar" }, 32, true],
    ["resnet18", { width: 8, stem: "cifar" }, 33, false],
    ["resnet18", { width: 8, stem: "imagenet" }, 64, false],
    ["resnet34", { width: 4, stem: "cifar" }, 16, false],
    ["resnet50", { width: 8, stem: "cifar" }, 32, true],
    ["resnet101", { width: 4, stem: "cifar" }, 16, false],
    ["wrn", { depth: 16, width: 2 }, 32, false],
    ["resnet9", { width: 8 }, 32, false],
    ["airbench", { size: 94 }, 32, false],
    ["airbench", { size: 96 }, 32, false],
    ["efficientnet-b0", { stem: "cifar" }, 32, false],
    ["efficientnet-b0", { stem: "imagenet" }, 64, false],
    ["efficientnet-lite0", {}, 64, false],
    ["efficientnet-lite1", {}, 48, false],
    ["efficientnet-lite2", {}, 65, false],
    ["mobilenet-v3-small", { stem: "cifar" }, 32, false],
    ["mobilenet-v3-small", { stem: "imagenet" }, 64, false],
    ["mobilenet-v3-large", { stem: "cifar" }, 32, false],
  ];

  it("are all that there are", () => {
    expect([...new Set(networks.map(([name]) => name))].sort()).toEqual(Object.keys(models).sort());
  });

  it.each(networks)("%s %j at %i px: 500 drawn images get the network's logits in every format", async (...network) => {
    const [name, options, size, se] = network;
    const { layer, weights, normalise, graph, images, about } = await settled(name, options, size, se);
    const count = images.length / (size * size * 3);
    const wanted = inBatches(images, size, (x) => forward(layer, normalise(x), { weights }));
    tf.dispose([...weights.values()]);
    const answers: Record<string, Float32Array> = {
      tfjs: await withGraphModel(tfjs(graph, "float32", about), (run) => inBatches(images, size, run)),
      savedmodel: withSavedModel(savedModel(graph, about), folder, (run) => inBatches(images, size, run)),
    };
    const files = {
      "network.onnx": onnx(graph, { kind: "float32" }, about),
      "network.tflite": litert(graph, { kind: "float32" }, about),
    };
    const shape = [count, size, size, 3];
    for (const [file, { answers: found }] of Object.entries(inOfficialReaders(files, images, shape)))
      answers[file] = found;
    const largest = Math.max(...Array.from(wanted, Math.abs));
    expect(largest).toBeGreaterThan(0.01);
    for (const [format, found] of Object.entries(answers)) {
      expect(found.length, format).toBe(wanted.length);
      expect(apart(found, wanted) / largest, format).toBeLessThanOrEqual(1e-4);
      for (let at = 0; at < count; at++) {
        const row = wanted.subarray(at * 10, at * 10 + 10);
        const [first, second] = [...row].sort((a, b) => b - a);
        if (first! - second! <= 2e-4 * largest) continue;
        const answer = found.subarray(at * 10, at * 10 + 10);
        expect(answer.indexOf(Math.max(...answer)), `${format}, image ${at}`).toBe(row.indexOf(first!));
      }
    }
  });
});

describe("a network in int8", () => {
  it.each([
    ["resnet18", { width: 8, stem: "cifar" }, 32, 4],
    ["efficientnet-lite0", {}, 64, 20],
  ] as const)("%s %j at %i px: each layer gives in both runtimes what the simulation says", async (...network) => {
    const [name, options, size, mostSteps] = network;
    const { weights, graph, seen, images: all, about } = await settled(name, options, size, false);
    tf.dispose([...weights.values()]);
    const [count, length] = [16, size * size * 3];
    const images = all.slice(0, count * length);
    const shape = [count, size, size, 3];
    const ranges = calibrate(graph, () => [tf.tensor4d(seen.subarray(0, 64 * length), [64, size, size, 3])]);
    const values = quantizedValues(graph, ranges);
    const precision = { kind: "int8", values } as const;
    const bytes = { ...about, input: "uint8", output: "probabilities" } as const;
    const files = { "int8.onnx": onnx(graph, precision, about), "int8.tflite": litert(graph, precision, about) };
    const found = inOfficialReaders(files, images, shape, { allValues: true });
    const convolutions = graph.nodes.filter(({ op }) => op === "conv" || op === "depthwise").length;
    expect(found["int8.onnx"]!.operations).toMatchObject({ QLinearConv: convolutions });
    expect(found["int8.onnx"]!.operations).not.toHaveProperty("Conv");

    // Layer by layer, each given LiteRT's values before it: a sum of floats that rounds to the other side changes what follows.
    const inLiteRT = found["int8.tflite"]!.values;
    let compared = 0;
    tf.tidy(() => {
      interpret(withRoundedWeights(graph, values), tf.tensor4d(images, [count, size, size, 3]), (value, tensor) => {
        const wanted = tf.tensor(inLiteRT.get(value)!, tensor.shape);
        const quantization = values.get(value)!;
        const steps = tf.abs(tf.div(tf.sub(rounded(tensor, quantization), wanted), quantization.scale));
        expect(tf.max(steps).dataSync()[0], value).toBeLessThan(1.01);
        expect(tf.mean(tf.cast(tf.greater(steps, 0.5), "float32")).dataSync()[0], value).toBeLessThan(0.001);
        compared++;
        return wanted;
      });
    });
    expect(compared).toBe(graph.nodes.length + 1);

    // The whole: such sums add up, most in Lite0's fifty layers of weights that nobody trained.
    const { scale } = values.get(graph.output)!;
    const wanted = inBatches(images, size, simulator(graph, values));
    const [inOnnx, inTflite] = [found["int8.onnx"]!.answers, found["int8.tflite"]!.answers];
    expect(apart(inOnnx, inTflite) / scale).toBeLessThan(4);
    expect(apart(inOnnx, wanted) / scale).toBeLessThan(mostSteps);
    expect(apart(inTflite, wanted) / scale).toBeLessThan(mostSteps);
    const answers = inOfficialReaders(
      { "bytes.onnx": onnx(graph, precision, bytes), "bytes.tflite": litert(graph, precision, bytes) },
      images,
      shape,
    );
    const probabilities = probabilitiesOf(wanted, 10);
    expect(Math.max(...probabilities) - Math.min(...probabilities)).toBeGreaterThan(0.04); // a constant does not pass
    for (const [file, { answers: each }] of Object.entries(answers)) {
      expect(apart(each, probabilities), file).toBeLessThan(0.02);
    }
  });
});

it("a network with squeeze units that are always zero runs in int8 on XNNPACK", () => {
  const size = 96;
  const { layer } = makePart(modelByName("resnet18", { width: 8, stem: "imagenet" })).build({
    classes: 5,
    inputSize: size,
    buildBlock: (branch, { channels }) => append(branch, "se", squeezeExcite({ channels, squeezed: channels / 4 })),
    buildHead: (head) => head,
  });
  const weights = initialWeights(layer, 3);
  const graph = withNormalising(simplify(trace(layer, weights, size)), { mean: [0, 0, 0], deviation: [1, 1, 1] });
  const random = stream(4, "images");
  const images = Float32Array.from({ length: 8 * size * size * 3 }, () => random.int(256));
  const batch = (): tf.Tensor => tf.tensor4d(images, [8, size, size, 3]);
  const ranges = calibrate(graph, () => [batch()]);
  expect([...ranges.values()].filter(([low, high]) => low === high).length).toBeGreaterThan(0);
  const values = quantizedValues(graph, ranges);
  const files = { "dead.tflite": litert(graph, { kind: "int8", values }, { ...description, size }) };
  const { answers, operations } = inOfficialReaders(files, images, [8, size, size, 3])["dead.tflite"]!;
  expect(operations.CONV_2D).toBeGreaterThan(30);
  const wanted = tf.tidy(() => simulator(graph, values)(batch()).dataSync());
  const largest = Math.max(...Array.from(wanted, Math.abs));
  expect(apart(answers, wanted) / largest).toBeLessThan(0.1);
  tf.dispose([...weights.values()]);
});

/** A network with statistics of drawn images, and its graph; 240 images that it has seen, and 500 others. */
async function settled(name: string, options: Record<string, unknown>, size: number, se: boolean) {
  const { layer } = makePart(modelByName(name, options)).build({
    inputSize: size,
    classes: 10,
    buildBlock: (branch, { channels }) =>
      se ? append(branch, "se", squeezeExcite({ channels, squeezed: Math.max(1, channels / 4) })) : branch,
    buildHead: (head) => head,
  });
  const weights = initialWeights(layer, 3);
  const { train, test, mean, deviation } = await makePart(shapes({ size, train: 240, test: 500 })).load({});
  const read = async (split: Split): Promise<Float32Array> => {
    const all = await split.read(Array.from({ length: split.length }, (_, at) => at));
    return Float32Array.from(all.flatMap(({ pixels }) => [...pixels]));
  };
  const normalise = (x: tf.Tensor): tf.Tensor => tf.div(tf.sub(tf.div(x, 255), [...mean]), [...deviation]);
  const seen = await read(train);
  settleStatistics(layer, weights, seen, size, normalise);
  const graph = withNormalising(simplify(trace(layer, weights, size)), { mean, deviation });
  const about = { ...description, classes: Array.from({ length: 10 }, (_, at) => `class ${at}`), size };
  return { layer, weights, normalise, graph, seen, images: await read(test!), about };
}

/** Running statistics as training leaves them: thirty batches of training images move them a tenth of the way each. */
function settleStatistics(
  layer: Layer,
  weights: Weights,
  images: Float32Array,
  size: number,
  normalise: (images: tf.Tensor) => tf.Tensor,
): void {
  const length = 8 * size * size * 3;
  const onBuffer = (name: string, value: tf.Tensor): void => {
    weights.get(name)!.dispose();
    weights.set(name, value);
  };
  for (let batch = 0; batch < 30; batch++) {
    tf.tidy(() => {
      const x = tf.tensor4d(images.subarray(batch * length, (batch + 1) * length), [8, size, size, 3]);
      forward(layer, normalise(x), { weights, training: true, onBuffer });
    });
  }
}

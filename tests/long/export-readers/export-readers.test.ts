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
import { modelByName } from "../../../core/models/index.js";
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
import { calibrate, quantizedValues, simulator } from "../../../export/quantize.js";
import { description, everyOperation, pixels } from "../../support/every-operation.js";
import { filesToRead, kept, quantized } from "../../support/exported-files.js";
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
}

/** Runs files on images [count, size, size, 3] in their official runtime; file name -> what was found. */
function read(files: Record<string, Uint8Array | Pieces>, images: Float32Array, shape: number[]): Record<string, Read> {
  writeFileSync(join(folder, "images.f32"), Buffer.from(images.buffer));
  const jobs = Object.entries(files).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes instanceof Uint8Array ? bytes : joined(bytes));
    return { model: join(folder, name), input: join(folder, "images.f32"), shape, output: join(folder, `${name}.f32`) };
  });
  writeFileSync(join(folder, "jobs.json"), JSON.stringify(jobs));
  const requirements = join(import.meta.dirname, "requirements.txt");
  const python = readersPython("export-readers", requirements, process.env.FITLOOP_EXPORT_PYTHON);
  const script = join(import.meta.dirname, "read_models.py");
  const printed = execFileSync(python, [script, join(folder, "jobs.json")], { maxBuffer: 1e8 });
  const found = JSON.parse(printed.toString()) as Record<string, Omit<Read, "answers">>;
  return Object.fromEntries(
    jobs.map(({ model, output }) => {
      const answers = new Float32Array(new Uint8Array(readFileSync(output)).buffer);
      return [model.slice(folder.length + 1), { ...found[model]!, answers }];
    }),
  );
}

const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (each, at) => Math.abs(each - b[at]!)));

describe("a graph with every operation", () => {
  it("is read by ONNX Runtime and LiteRT, with the graph's answers, in each way of storing numbers", async () => {
    const files = await filesToRead();
    const images = pixels(16);
    const found = read(files, images, [16, 12, 12, 3]);
    const [logits, probabilities, int8, mixed] = tf.tidy(() => {
      const x = tf.tensor4d(images, [16, 12, 12, 3]);
      const all = interpret(everyOperation, x);
      return [
        all.dataSync(),
        tf.softmax(all as tf.Tensor2D).dataSync(),
        simulator(everyOperation, quantized)(x).dataSync(),
        simulator(everyOperation, quantized, kept)(x).dataSync(),
      ];
    }) as unknown as [Float32Array, Float32Array, Float32Array, Float32Array];
    const tolerances: Record<string, number> = {
      float32: 1e-5,
      float16: 1e-2,
      "int8-dynamic": 0.1,
      int8: 0.25,
      "int8-kept": 0.25,
    };
    const simulated: Record<string, Float32Array> = { int8, "int8-kept": mixed };
    for (const [name, { answers }] of Object.entries(found)) {
      const kind = name.replace(/(-bytes)?\.\w+$/, "");
      const wanted = name.includes("-bytes") ? probabilities : (simulated[kind] ?? logits);
      expect(apart(answers, wanted), name).toBeLessThan(tolerances[kind]!);
    }
    expect(JSON.parse(found["float32.onnx"]!.metadata!["fitloop.classes"]!)).toEqual(description.classes);
    expect(found["float32.tflite"]!.files).toEqual({
      "labels.txt": description.classes.map((each) => `${each}\n`).join(""),
    });
    // Whole numbers, not floats between conversions.
    expect(found["int8.onnx"]!.operations).toMatchObject({ QLinearConv: 4 });
    expect(found["int8.onnx"]!.operations).not.toHaveProperty("Conv");
    expect(found["int8.tflite"]!.operations).toMatchObject({ QUANTIZE: 1, DEQUANTIZE: 1, GELU: 1 });
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
    ["efficientnet-b0", { stem: "imagenet" }, 96, false],
    ["efficientnet-lite0", {}, 96, false],
    ["efficientnet-lite2", {}, 65, false],
  ];

  it.each(networks)("%s %j at %i px answers in ONNX Runtime and LiteRT as it does here", (name, options, size, se) => {
    const { layer } = makePart(modelByName(name, options)).build({
      inputSize: 32,
      classes: 7,
      buildBlock: (branch, { channels }) =>
        se ? append(branch, "se", squeezeExcite({ channels, squeezed: Math.max(1, channels / 4) })) : branch,
      buildHead: (head) => head,
    });
    const weights = initialWeights(layer, 3);
    const random = stream(4, "images");
    settleStatistics(layer, weights, size);
    const scale = { mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.2, 0.3] };
    const graph = withNormalising(simplify(trace(layer, weights, size)), scale);
    const about = { ...description, classes: description.classes.concat("f", "g"), size };
    const images = Float32Array.from({ length: 8 * size * size * 3 }, () => random.int(256));
    const found = read(
      {
        "network.onnx": onnx(graph, { kind: "float32" }, about),
        "network.tflite": litert(graph, { kind: "float32" }, about),
      },
      images,
      [8, size, size, 3],
    );
    const wanted = tf.tidy(() => {
      const x = tf.tensor4d(images, [8, size, size, 3]);
      const normal = tf.div(tf.sub(tf.div(x, 255), scale.mean), scale.deviation);
      return forward(layer, normal, { weights }).dataSync();
    });
    tf.dispose([...weights.values()]);
    const largest = Math.max(...Array.from(wanted, Math.abs));
    for (const [file, { answers }] of Object.entries(found)) {
      expect(apart(answers, wanted) / largest, file).toBeLessThan(1e-4);
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
  const { answers, operations } = read(files, images, [8, size, size, 3])["dead.tflite"]!;
  expect(operations.CONV_2D).toBeGreaterThan(30);
  const wanted = tf.tidy(() => simulator(graph, values)(batch()).dataSync());
  const largest = Math.max(...Array.from(wanted, Math.abs));
  expect(apart(answers, wanted) / largest).toBeLessThan(0.1);
  tf.dispose([...weights.values()]);
});

/** Running statistics as training leaves them: thirty batches of noise move them a tenth of the way each. */
function settleStatistics(layer: Layer, weights: Weights, size: number): void {
  for (let batch = 0; batch < 30; batch++) {
    tf.tidy(() => {
      const onBuffer = (name: string, value: tf.Tensor): void => {
        weights.get(name)!.dispose();
        weights.set(name, value);
      };
      forward(layer, tf.randomNormal([8, size, size, 3], 0, 1, "float32", batch), {
        weights,
        training: true,
        onBuffer,
      });
    });
  }
}

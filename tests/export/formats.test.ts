/**
 * Each format's bytes. tf.js and TensorFlow read theirs here. ONNX and LiteRT have no reader for Node: the bytes are those that
 * ONNX Runtime and LiteRT accepted, with the answers of the graph (tests/long/export-readers makes and checks the list).
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../core/backend/index.js";
import { interpret } from "../../core/trace/interpret.js";
import { float16Bits } from "../../export/formats/float16.js";
import { litert } from "../../export/formats/litert.js";
import { onnx } from "../../export/formats/onnx.js";
import { joined } from "../../export/formats/pieces.js";
import { savedModel, savedModelFolder } from "../../export/formats/saved-model.js";
import { tfjs } from "../../export/formats/tfjs.js";
import { description, everyOperation, pixels } from "../support/every-operation.js";
import { filesToRead } from "../support/exported-files.js";
import { withGraphModel, withSavedModel } from "../support/read-exports.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

const images = (): tf.Tensor => tf.tensor4d(pixels(4), [4, 12, 12, 3]);
const wanted = (): Float32Array => tf.tidy(() => interpret(everyOperation, images()).dataSync() as Float32Array);
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (each, at) => Math.abs(each - b[at]!)));

describe("ONNX and LiteRT", () => {
  const accepted = JSON.parse(
    readFileSync(join(import.meta.dirname, "../golden/export/accepted.json"), "utf8"),
  ) as Record<string, string>;

  it("are the bytes that their official readers accepted", async () => {
    const found = Object.entries(await filesToRead()).map(([name, bytes]) => [
      name,
      createHash("sha256").update(bytes).digest("hex"),
    ]);
    expect(Object.fromEntries(found)).toEqual(accepted);
  });

  it("hold large layers in 8 bits in int8-dynamic, so that their readers have read such a file", () => {
    expect(accepted["large-int8-dynamic.onnx"]).not.toBe(accepted["large-float32.onnx"]);
    expect(accepted["large-int8-dynamic.tflite"]).not.toBe(accepted["large-float32.tflite"]);
  });
});

describe("tf.js", () => {
  it.each([
    ["float32", 1e-5],
    ["float16", 1e-2],
    ["int8-dynamic", 0.3],
  ] as const)("loads a graph model of %s weights and gives the graph's answers", async (precision, tolerance) => {
    const files = tfjs(everyOperation, precision, description);
    const answers = await withGraphModel(files, (run) => tf.tidy(() => run(images()).dataSync()));
    expect(apart(answers, wanted())).toBeLessThan(tolerance);
  });

  it("says probabilities where these are asked for, and takes bytes", async () => {
    const files = tfjs(everyOperation, "float32", { ...description, output: "probabilities", input: "uint8" });
    const model = JSON.parse(joined(files.get("model.json")!).toString());
    expect(Object.keys(model.signature.outputs)).toEqual(["probabilities"]);
    expect(model.signature.inputs.image).toMatchObject({ name: "image_bytes:0", dtype: "DT_UINT8" });
    expect(model.modelTopology.node.at(-1)).toMatchObject({ op: "Softmax", input: ["logits"] });
  });
});

describe("SavedModel", () => {
  const folder = mkdtempSync(join(tmpdir(), "fitloop-saved-model-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("is loaded by TensorFlow and gives the graph's answers", () => {
    const file = savedModel(everyOperation, description);
    const answers = withSavedModel(file, folder, (run) => tf.tidy(() => run(images()).dataSync()));
    expect(apart(answers, wanted())).toBeLessThan(1e-5);
  });
});

it("every format says which classes there are, and how an image is resized and normalised", () => {
  const input = {
    size: 12,
    scale: 13,
    crop: 12,
    interpolation: "bicubic",
    layout: "NHWC",
    color: "RGB",
    range: [0, 255],
    normalizedInModel: { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
  };
  const { classes } = description;
  const float = { kind: "float32" } as const;
  const text = JSON.stringify(input);
  expect(joined(onnx(everyOperation, float, description)).toString()).toContain(text);
  expect(joined(litert(everyOperation, float, description)).toString()).toContain(text);
  const { userDefinedMetadata } = JSON.parse(
    joined(tfjs(everyOperation, "float32", description).get("model.json")!).toString(),
  );
  expect(userDefinedMetadata).toMatchObject({ classes, input });
  const extra = savedModelFolder(everyOperation, description).get("assets.extra/metadata.json")!;
  expect(JSON.parse(joined(extra).toString())).toMatchObject({ classes, input });
});

describe("float16Bits", () => {
  it("rounds to the nearest half, ties to even, and keeps subnormals and infinities", () => {
    const cases: [number, number][] = [
      [0, 0],
      [-0, 0x8000],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65519.9, 0x7bff],
      [65520, 0x7c00],
      [Number.NEGATIVE_INFINITY, 0xfc00],
      [2 ** -24, 1],
      [2 ** -25, 0],
      [1.5 * 2 ** -24, 2],
      [2 ** -14, 0x0400],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
    ];
    for (const [value, bits] of cases) expect(float16Bits(value), String(value)).toBe(bits);
    expect(float16Bits(Number.NaN)).toBe(0x7e00);
  });
});

/** ONNX Runtime Web, the one of browsers, reads the ONNX files on WebAssembly: the graph's answers in each way of storing numbers. */
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-web";
import { beforeAll, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { interpret } from "../../../core/trace/interpret.js";
import { simulator } from "../../../export/quantize.js";
import { everyOperation, largeLayers, pixels } from "../../support/every-operation.js";
import { filesToRead, kept, quantized } from "../../support/exported-files.js";

beforeAll(async () => {
  await loadBackend({ name: "tensorflow" });
  ort.env.wasm.numThreads = 1;
});

const answersOf = (run: (images: tf.Tensor) => tf.Tensor): Float32Array =>
  tf.tidy(() => run(tf.tensor4d(pixels(16), [16, 12, 12, 3])).dataSync()) as Float32Array;

/** Of the logits in int8. */
const step = quantized.get("logits")!.scale;

it.each([
  ["float32", 1e-5],
  ["float16", 1e-2],
  ["int8-dynamic", 0.06],
  ["int8", 2.01 * step],
  ["int8-kept", 2.01 * step],
  ["large-float32", 1e-5],
  ["large-int8-dynamic", 0.01],
] as const)("reads %s, with numbers, and with bytes where there is such a file", async (kind, tolerance) => {
  const files = await filesToRead();
  const wanted = answersOf(
    kind === "int8"
      ? simulator(everyOperation, quantized)
      : kind === "int8-kept"
        ? simulator(everyOperation, quantized, kept)
        : (images) => interpret(kind.startsWith("large-") ? largeLayers : everyOperation, images),
  );
  const probabilities = tf.tidy(() => tf.softmax(tf.tensor2d(wanted, [16, 5])).dataSync() as Float32Array);
  const read = async (name: string, image: ort.Tensor): Promise<Float32Array> => {
    const session = await ort.InferenceSession.create(files[name]!, { executionProviders: ["wasm"] });
    const answers = await session.run({ [session.inputNames[0]!]: image });
    await session.release();
    return answers[session.outputNames[0]!]!.data as Float32Array;
  };
  const shape = [16, 12, 12, 3];
  const apart = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((each, at) => Math.abs(each - b[at]!)));
  const numbers = await read(`${kind}.onnx`, new ort.Tensor("float32", pixels(16), shape));
  expect(apart(numbers, wanted)).toBeLessThan(tolerance);
  if (!files[`${kind}-bytes.onnx`]) return;
  const bytes = await read(`${kind}-bytes.onnx`, new ort.Tensor("uint8", Uint8Array.from(pixels(16)), shape));
  expect(apart(bytes, probabilities)).toBeLessThan(0.02);
});

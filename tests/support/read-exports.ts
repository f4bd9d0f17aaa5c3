/** tf.js and TensorFlow reading what the export wrote, in this process. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as tfjsUnion from "@tensorflow/tfjs";
import * as tf from "@tensorflow/tfjs-core";
import { currentNativeCalls } from "../../core/backend/graph/native-calls.js";
import { joined, type Pieces } from "../../export/formats/pieces.js";

type Run = (images: tf.Tensor) => tf.Tensor;

/** The answers to images [count, size, size, 3], fifty at a time, one after another. */
export function inBatches(images: Float32Array, size: number, run: Run): Float32Array {
  const length = size * size * 3;
  const all: number[] = [];
  for (let from = 0; from < images.length; from += 50 * length) {
    const part = images.subarray(from, from + 50 * length);
    const answers = tf.tidy(() => run(tf.tensor4d(part, [part.length / length, size, size, 3])).dataSync());
    all.push(...answers);
  }
  return Float32Array.from(all);
}

/** tf.js' own loader. */
export async function withGraphModel<T>(files: ReadonlyMap<string, Pieces>, use: (run: Run) => T): Promise<T> {
  const { modelTopology, weightsManifest, ...rest } = JSON.parse(joined(files.get("model.json")!).toString());
  const paths = weightsManifest.flatMap((group: { paths: string[] }) => group.paths) as string[];
  const weights = joined(paths.flatMap((path) => [...files.get(path)!]));
  const model = await tfjsUnion.loadGraphModel({
    load: async () => ({
      modelTopology,
      weightSpecs: weightsManifest[0].weights,
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length) as ArrayBuffer,
      ...rest,
    }),
  });
  try {
    return use((images) => model.predict(images) as tf.Tensor);
  } finally {
    model.dispose();
  }
}

/** TensorFlow's loader, through the addon. */
export function withSavedModel<T>(file: Pieces, folder: string, use: (run: Run) => T): T {
  const place = mkdtempSync(join(folder, "saved-model-"));
  writeFileSync(join(place, "saved_model.pb"), joined(file));
  const native = currentNativeCalls()!;
  const backend = tf.backend() as unknown as {
    getInputTensorIds(tensors: tf.Tensor[]): number[];
    createOutputTensor(info: object): tf.Tensor;
  };
  const session = native.loadSavedModel(place, "serve");
  try {
    return use((images) => {
      const [output] = native.runSavedModel(session, backend.getInputTensorIds([images]), "image:0", "logits:0");
      return backend.createOutputTensor(output!);
    });
  } finally {
    native.deleteSavedModel(session);
  }
}

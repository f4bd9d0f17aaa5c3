/** The runtime of tf.js models: graph models on tf.js' WebAssembly backend, which gives the same numbers on every machine. */
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import type { OpenModel } from "./classifier.js";

const wasm = "tfjs-backend-wasm-simd.wasm";
/** Variants that the backend must know of; they are not used. */
const others = ["tfjs-backend-wasm.wasm", "tfjs-backend-wasm-threaded-simd.wasm"] as const;

export const openModel: OpenModel = async ({ model: name, input }, file) => {
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  const program = URL.createObjectURL(new Blob([await file(wasm)], { type: "application/wasm" }));
  setWasmPaths(Object.fromEntries([wasm, ...others].map((name) => [name, program])));
  if (!(await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")) || !(await tf.setBackend("wasm"))) {
    throw new Error("This browser cannot run the model: it has no WebAssembly with SIMD. Use one from 2023 or later.");
  }
  URL.revokeObjectURL(program);
  const { modelTopology, weightsManifest, signature, userDefinedMetadata } = JSON.parse(
    new TextDecoder().decode(await file(name)),
  ) as tf.io.ModelJSON;
  const shards = await Promise.all(weightsManifest.flatMap(({ paths }) => paths).map(file));
  const model = await loadGraphModel({
    load: async () => ({
      modelTopology,
      signature,
      userDefinedMetadata,
      weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
      weightData: shards.map((shard) => shard.buffer),
    }),
  });
  const { size, type } = input;
  return {
    async run(image) {
      const answer = tf.tidy(
        () =>
          model.predict(tf.tensor4d(image, [1, size, size, 3], type === "uint8" ? "int32" : "float32")) as tf.Tensor,
      );
      const values = await answer.data<"float32">();
      answer.dispose();
      return values;
    },
    dispose: () => model.dispose(),
  };
};

/** tf.js' WebAssembly backend, with the kernels that training needs and that it lacks. */

import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, sep } from "node:path";
import { setWasmPaths, version_wasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";

import { registerWasmKernels } from "./kernels.js";

/** Starts the backend and makes it tf.js' current one. */
export async function startWasm(): Promise<{ version: string; device: string; threads: number; notes: string[] }> {
  const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  registerWasmKernels();
  setWasmPaths(dirname(main) + sep);
  if (!(await tf.setBackend("wasm"))) throw new Error("tf.js refused the wasm backend");
  return { version: version_wasm, device: `CPU, ${cpus()[0]?.model.trim() ?? process.arch}`, threads: 1, notes: [] };
}

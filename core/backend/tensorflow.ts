/**
 * TensorFlow's own kernels under tf.js, through tfjs-node's JavaScript and an addon of this machine.
 *
 * The two imports below are parts of tfjs-node: its main file would look for its own addon, print a banner and load
 * tf.layers. This module is loaded only once an addon is known to be there, and after `restoreNodeUtil`.
 */

import "@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js";
import { cpus } from "node:os";
import * as tf from "@tensorflow/tfjs-core";
import { NodeJSKernelBackend } from "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js";

import { bfloat16, withBfloat16 } from "./bfloat16.js";
import { type NativeCalls, type OutputInfo, openNativeCalls } from "./graph/native-calls.js";
import { loadQuietly } from "./quiet-load.js";
import { intraOpThreads } from "./threads.js";

/** What is known of a loaded addon. */
export interface LoadedTensorflow {
  version: string;
  device: string;
  threads: number;
}

/** tfjs-node's backend over replaceable native calls, with tensors of bfloat16. */
class TensorflowBackend extends NodeJSKernelBackend {
  readonly native: NativeCalls;

  constructor(addon: object) {
    const native = openNativeCalls(addon);
    super(
      withBfloat16(native) as unknown as ConstructorParameters<typeof NodeJSKernelBackend>[0],
      "@tensorflow/tfjs-node-gpu",
    );
    this.native = native;
    const known = this as unknown as {
      createOutputTensor(info: OutputInfo): tf.Tensor;
      tensorMap: tf.DataStorage<object>;
    };
    const createOutputTensor = known.createOutputTensor.bind(this);
    known.createOutputTensor = (info) => {
      if (info.dtype !== bfloat16) return createOutputTensor(info);
      const tensor = createOutputTensor({ ...info, dtype: native.TF_FLOAT });
      Object.assign(known.tensorMap.get(tensor.dataId), { dtype: bfloat16 });
      return tensor;
    };
  }
}

/** Settings of TensorFlow that hold unless the environment has others. */
const settings = {
  TF_CPP_MIN_LOG_LEVEL: "2",
  // TensorFlow turns its faster convolutions on by itself only for processors with AVX-512; with AVX2 alone a training
  // step of a narrow ResNet-18 takes half again as long without them (`npm run bench -- step`).
  TF_ENABLE_ONEDNN_OPTS: "1",
  // By default, TensorFlow creates oneDNN's gradients anew at every call, with their working memory. What keeping it
  // brings and costs is in docs/backends.md.
  TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE: "false",
};

/** Loads the addon and makes it tf.js' backend. Throws what the dynamic loader throws. */
export async function startTensorflow(addon: string): Promise<LoadedTensorflow> {
  for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;
  const backend = new TensorflowBackend(loadQuietly(addon, Object.keys(settings)));
  tf.registerBackend("tensorflow", () => backend, 3);
  if (!(await tf.setBackend("tensorflow"))) throw new Error("tf.js refused the backend");
  return {
    version: String((backend.native as unknown as { TF_Version: string }).TF_Version),
    device: backend.isUsingGpuDevice ? "GPU" : `CPU, ${cpus()[0]?.model.trim() ?? process.arch}`,
    threads: intraOpThreads(),
  };
}

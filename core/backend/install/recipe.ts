/**
 * Which TensorFlow is fetched for which machine: the table that everything else here reads.
 *
 * The wheel is a container of two shared libraries and their C headers; no Python runs at training time. It is asked
 * for by one fixed Python version, so that the user's own Python does not matter and one hash can be pinned.
 */

import { TrainerError } from "../../errors.js";
import { type CudaPin, cudaWheels } from "./cuda-wheels.js";

export const tensorflowVersion = "2.21.0";

export type Variant = "cpu" | "gpu";

export interface Recipe {
  tensorflow: string;
  variant: Variant;
  /** `process.platform-process.arch`, as in the cache's folder names. */
  platform: string;
  /** The wheel's project name, and the version and platform tags to ask for. */
  project: string;
  pythonVersion: string;
  platformTag: string;
  wheel: Pin;
  /** NVIDIA's libraries, each in a wheel of its own. */
  cuda?: readonly CudaPin[];
  /** Free bytes needed while installing, the wheel beside its unpacked libraries. */
  diskBytes: number;
}

/** A file known beforehand. */
export interface Pin {
  name: string;
  sha256: string;
  /** Undefined where only the index's hash was at hand. */
  bytes?: number;
}

const pins: Record<string, Pick<Recipe, "project" | "platformTag" | "wheel" | "cuda" | "diskBytes">> = {
  "cpu linux-x64": {
    project: "tensorflow-cpu",
    platformTag: "manylinux_2_27_x86_64",
    wheel: {
      name: "tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl",
      sha256: "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
      bytes: 273_829_956,
    },
    diskBytes: 1.2e9,
  },
  // There is no tensorflow-cpu for 64-bit Arm; the plain wheel is the processor-only one there.
  "cpu linux-arm64": {
    project: "tensorflow",
    platformTag: "manylinux_2_27_aarch64",
    wheel: {
      name: "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl",
      sha256: "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
    },
    diskBytes: 1.2e9,
  },
  "cpu darwin-arm64": {
    project: "tensorflow",
    platformTag: "macosx_12_0_arm64",
    wheel: {
      name: "tensorflow-2.21.0-cp311-cp311-macosx_12_0_arm64.whl",
      sha256: "51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88",
      bytes: 223_405_849,
    },
    diskBytes: 1.2e9,
  },
  "cpu win32-x64": {
    project: "tensorflow-cpu",
    platformTag: "win_amd64",
    wheel: {
      name: "tensorflow_cpu-2.21.0-cp311-cp311-win_amd64.whl",
      sha256: "6fc992a9c8700e18c178b0525f4e7697e58fce88df0dcb95db4dd3c7ad5f4651",
      bytes: 350_834_051,
    },
    diskBytes: 1.6e9,
  },
  "gpu linux-x64": {
    project: "tensorflow",
    platformTag: "manylinux_2_27_x86_64",
    wheel: {
      name: "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl",
      sha256: "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124",
      bytes: 572_440_367,
    },
    cuda: cudaWheels,
    diskBytes: 6.5e9,
  },
};

/** Platforms whose wheels were unpacked and linked against, and on which nothing was run yet. */
export const untried: readonly string[] = ["darwin-arm64", "win32-x64", "linux-arm64"];

/** This machine in the words of the table above. */
export const thisPlatform = `${process.platform}-${process.arch}`;

/** The recipe for a variant, or a TrainerError that says where it would work. */
export function recipeFor(variant: Variant, platform = thisPlatform): Recipe {
  const entry = pins[`${variant} ${platform}`];
  if (!entry) {
    const known = Object.keys(pins).filter((key) => key.startsWith(`${variant} `));
    throw new TrainerError(
      "ERR_BACKEND",
      `There is no TensorFlow library for ${platform} (${variant}); there is one for ` +
        `${known.map((key) => key.slice(4)).join(" and ")}. Train with --backend wasm here.`,
    );
  }
  return { tensorflow: tensorflowVersion, variant, platform, pythonVersion: "3.11", ...entry };
}

/** The 14 headers that the binding's source reaches, below the wheel's `tensorflow/include`. */
export const headers = [
  "tensorflow/c/c_api.h",
  "tensorflow/c/c_api_macros.h",
  "tensorflow/c/tf_attrtype.h",
  "tensorflow/c/tf_buffer.h",
  "tensorflow/c/tf_datatype.h",
  "tensorflow/c/tf_status.h",
  "tensorflow/c/tf_tensor.h",
  "tensorflow/c/tf_tstring.h",
  "tensorflow/c/eager/c_api.h",
  "tensorflow/core/platform/ctstring.h",
  "tensorflow/core/platform/ctstring_internal.h",
  "tsl/platform/ctstring.h",
  "tsl/platform/ctstring_internal.h",
  "xla/tsl/c/tsl_status.h",
] as const;

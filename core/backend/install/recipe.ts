/**
 * Which TensorFlow is fetched for which machine: the table that everything else here reads.
 *
 * The wheel is a container of two shared libraries and their C headers; no Python runs at training time. It is asked
 * for by one fixed Python version, so that the user's own Python does not matter and one hash can be pinned.
 */

import { TrainerError } from "../../errors.js";

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

const pins: Record<string, Pick<Recipe, "project" | "platformTag" | "wheel" | "diskBytes">> = {
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
  "gpu linux-x64": {
    project: "tensorflow",
    platformTag: "manylinux_2_27_x86_64",
    wheel: {
      name: "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl",
      sha256: "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124",
    },
    diskBytes: 9e9,
  },
};

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

/** The two libraries of the wheel that the binding links. */
export const libraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"] as const;

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

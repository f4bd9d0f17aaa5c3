/** Compiling the Node addon that joins tf.js and TensorFlow's C library. */

import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { TrainerError } from "../../errors.js";
import { addonName, loaderName } from "./cache.js";
import type { NativeSources } from "./native-sources.js";
import { libraries } from "./recipe.js";
import { runTool } from "./tools.js";

export interface Build {
  compiler: string;
  sources: NativeSources;
  /** The cache entry under construction; `tensorflow/` with libraries and headers lies in it. */
  directory: string;
  signal?: AbortSignal;
}

/** What the addon is built with; part of an entry's key, so that a change here builds anew. */
export const compileFlags = ["-O2", "-std=c++17", "-fPIC", "-shared", "-DNAPI_VERSION=8"] as const;

/** Compiles the addon and its loader into the directory (about 10 s); returns the compiler's own name for the record. */
export async function buildAddon({ compiler, sources, directory, signal }: Build): Promise<string> {
  const units = (await readdir(sources.binding)).filter((name) => name.endsWith(".cc")).sort();
  try {
    await runTool(
      compiler,
      [
        ...compileFlags,
        `-I${sources.nodeApi}`,
        `-I${join(directory, "tensorflow", "include")}`,
        ...units.map((name) => join(sources.binding, name)),
        "-o",
        join(directory, addonName),
        `-L${join(directory, "tensorflow")}`,
        ...libraries.map((name) => `-l:${name}`),
        // Relative to the addon, so that the folder may be renamed and moved.
        "-Wl,-rpath,$ORIGIN/tensorflow",
        ...(await linkNvidia(directory)),
      ],
      { signal },
    );
    const loader = [...compileFlags, `-I${sources.nodeApi}`, sources.loader, "-o", join(directory, loaderName), "-ldl"];
    await runTool(compiler, loader, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TrainerError("ERR_BACKEND", `The addon could not be built. ${(cause as Error).message}`, { cause });
  }
  return (await runTool(compiler, ["--version"], { signal })).split("\n")[0]!.trim();
}

/** The CUDA libraries that TensorFlow opens by name. */
const cudaLibraries = [
  "cudart",
  "cublas",
  "cublasLt",
  "cudnn",
  "cufft",
  "curand",
  "cusolver",
  "cusparse",
  "cupti",
  "nccl",
  "nvrtc",
  "nvJitLink",
];

/**
 * Links the CUDA libraries of the entry, where it has any. TensorFlow opens them by name when it starts and looks only
 * along its own path; a library of that name that the process has loaded already is taken first, so linking them here
 * does what LD_LIBRARY_PATH would, without a second process.
 */
async function linkNvidia(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, "nvidia"), { recursive: true }).catch(() => [] as string[]);
  const pattern = new RegExp(`/lib(${cudaLibraries.join("|")})\\.so\\.\\d+$`);
  const linked = names.filter((name) => pattern.test(name)).sort();
  if (linked.length === 0) return [];
  const folders = [...new Set(linked.map(dirname))];
  return [
    ...folders.flatMap((folder) => [
      `-L${join(directory, "nvidia", folder)}`,
      `-Wl,-rpath,$ORIGIN/nvidia/${folder}`,
      `-Wl,-rpath-link,${join(directory, "nvidia", folder)}`,
    ]),
    "-Wl,--no-as-needed",
    "-Wl,--allow-shlib-undefined",
    ...linked.map((name) => `-l:${basename(name)}`),
  ];
}

/** Compiling the Node addon that joins tf.js and TensorFlow's C library. */

import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { TrainerError } from "../../errors.js";
import { loaderName } from "./cache.js";
import type { NativeSources } from "./native-sources.js";
import { nodeLibraries, toolchainOf } from "./toolchain.js";
import { runTool } from "./tools.js";

export interface Build {
  compiler: string;
  /** As in a recipe: `linux-x64`. */
  platform: string;
  sources: NativeSources;
  /** The cache entry under construction; `tensorflow/` with libraries and headers lies in it. */
  directory: string;
  signal?: AbortSignal;
}

/** Calls of the binding that the linker hands over to `group.cc`. */
const handedOver = ["TFE_NewContext", "napi_define_properties"] as const;

/** Compiles the addon and its loader into the directory (about 10 s); returns the compiler's own name for the record. */
export async function buildAddon({ compiler, platform, sources, directory, signal }: Build): Promise<string> {
  const { addon, flags, link, quietLoader, groups } = toolchainOf(platform);
  const units = (await readdir(sources.binding)).filter((name) => name.endsWith(".cc")).sort();
  try {
    if (platform.startsWith("win32-")) await makeNodeLibraries(sources, directory, signal);
    await runTool(
      compiler,
      [
        ...flags,
        `-I${sources.nodeApi}`,
        `-I${join(directory, "tensorflow", "include")}`,
        ...units.map((name) => join(sources.binding, name)),
        ...(groups ? [sources.group, ...handedOver.map((name) => `-Wl,--wrap=${name}`), "-lpthread"] : []),
        "-o",
        join(directory, addon),
        ...link(directory),
        ...(await linkNvidia(directory)),
      ],
      { signal },
    );
    if (quietLoader) {
      const loader = [...flags, `-I${sources.nodeApi}`, sources.loader, "-o", join(directory, loaderName), "-ldl"];
      await runTool(compiler, loader, { signal });
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TrainerError("ERR_BACKEND", `The addon could not be built. ${(cause as Error).message}`, { cause });
  }
  return (await runTool(compiler, ["--version"], { signal })).split("\n")[0]!.trim();
}

/** On Windows a linker needs a list of the functions that Node itself has. */
async function makeNodeLibraries({ nodeApi }: NativeSources, directory: string, signal?: AbortSignal): Promise<void> {
  const tool = await firstThatRuns(["llvm-dlltool", "dlltool"]);
  for (const name of nodeLibraries) {
    const list = join(nodeApi, "..", "def", `${name}.def`);
    await runTool(tool, ["-m", "i386:x86-64", "-d", list, "-l", join(directory, `${name}.lib`)], { signal });
  }
}

async function firstThatRuns(names: readonly string[]): Promise<string> {
  for (const name of names) {
    const found = await runTool(name, ["--help"]).then(
      () => true,
      (error: Error) => (error.cause as NodeJS.ErrnoException).code !== "ENOENT",
    );
    if (found) return name;
  }
  throw new Error(`None of ${names.join(", ")} is here; LLVM and MinGW have it.`);
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
 * What is kept of NVIDIA's wheels: those libraries, and the parts of cuDNN and nvrtc that these open themselves.
 * Names that leave the folder are refused by the zip reader, and by this pattern.
 */
export const cudaLibrary = new RegExp(
  `^nvidia/\\w+/lib/lib(${cudaLibraries.join("|")}|cudnn_\\w+|nvrtc-builtins)\\.so\\.[\\d.]+$`,
);

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

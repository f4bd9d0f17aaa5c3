/** What `trainer backend status` says: what is installed, what a run would use, and why not something faster. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { cacheRoot } from "../../cache.js";
import { TrainerError } from "../../errors.js";
import { counted, formatBytes } from "../../format.js";
import { type Backend, loadBackend } from "../index.js";
import { bfloat16Instructions } from "../processor.js";
import { intraOpThreads } from "../threads.js";
import { listEntries, readEntry, verifyEntry } from "./cache.js";
import { findCandidates } from "./candidates.js";
import { type GpuStatus, gpuStatus } from "./gpu.js";
import { untried } from "./recipe.js";

/** One installed TensorFlow. */
export interface InstalledEntry {
  readonly name: string;
  readonly bytes: number;
  readonly installedAt?: string;
  /** What of its files was compared with the installed ones. */
  readonly compared?: "sizes" | "sha256";
  /** Why it cannot be used: damaged, or not complete. */
  readonly problem?: string;
}

/** Plain JSON. */
export interface BackendStatus {
  readonly node: string;
  readonly platform: string;
  /** Threads within one TensorFlow operation. */
  readonly threads: number;
  /** The processor's instructions for bfloat16; left out where the system does not tell. */
  readonly bfloat16?: readonly string[];
  readonly cache: {
    readonly path: string;
    readonly bytes: number;
    readonly entries: readonly InstalledEntry[];
  };
  /** Every place looked at, in order: an addon, or why there is none. */
  readonly tried: readonly { place: string; addon?: string; problem?: string }[];
  /** What a run without --backend would use. */
  readonly use: Backend;
  readonly gpu: GpuStatus;
  /** Why TensorFlow could not be loaded, where it could not. */
  readonly failure?: string;
}

/** Looks at the cache and loads what a run would use. With `verify`, reads every cached file. */
export async function backendStatus({ verify = false }: { verify?: boolean } = {}): Promise<BackendStatus> {
  const path = cacheRoot();
  const entries = await Promise.all((await listEntries(path)).map((entry) => describeEntry(entry, verify)));
  const { use, failure } = await usable();
  const installed = entries.some(({ name, problem }) => name.includes("-gpu-") && problem === undefined);
  return {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    threads: intraOpThreads(),
    bfloat16: bfloat16Instructions(),
    cache: { path, bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0), entries },
    tried: await findCandidates(),
    use,
    gpu: await gpuStatus({ backend: use, installed }),
    ...(failure === undefined ? {} : { failure }),
  };
}

async function describeEntry(directory: string, verify: boolean): Promise<InstalledEntry> {
  const entry = await readEntry(directory);
  const name = basename(directory);
  const bytes = await folderBytes(directory);
  if ("problem" in entry) return { name, bytes, problem: entry.problem };
  const problem = verify ? await verifyEntry(entry) : undefined;
  const { installedAt } = entry.manifest;
  return problem === undefined
    ? { name, bytes, installedAt, compared: verify ? "sha256" : "sizes" }
    : { name, bytes, installedAt, problem };
}

async function folderBytes(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true });
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function usable(): Promise<{ use: Backend; failure?: string }> {
  try {
    return { use: await loadBackend({ name: "tensorflow" }) };
  } catch (error) {
    if (!(error instanceof TrainerError)) throw error;
    return { use: await loadBackend({ name: "wasm" }), failure: error.message };
  }
}

const describeBfloat16 = (instructions: readonly string[]): string =>
  instructions.length > 0
    ? `the processor has ${instructions.join(" and ")}: --precision bfloat16 is faster, on TensorFlow`
    : "the processor has no instructions for it: --precision bfloat16 is slower";

function describeGpu({ devices, driver, cuda, unused }: GpuStatus): string[] {
  const found = devices.map(({ name, memory }) => `${name}, ${memory}`);
  const installed = driver === undefined ? [] : [`driver ${driver}${cuda === undefined ? "" : `, CUDA ${cuda}`}`];
  return [...found, ...installed, ...(unused === undefined ? ["in use"] : [unused])];
}

const comparison = {
  sizes: "all sizes as installed (--verify compares every byte)",
  sha256: "every byte as installed (SHA-256)",
} as const;

/** The status for people. */
export function formatStatus(status: BackendStatus): string {
  const { node, platform, threads, bfloat16, cache, tried, use, gpu, failure } = status;
  const name = use.name === "tensorflow" ? "TensorFlow" : "WebAssembly (tf.js)";
  const rows: [heading: string, text: string][] = [
    ["in use", `${name} ${use.version} on ${use.device}, ${counted(use.threads, "thread")}`],
    ...[...use.notes, ...(failure === undefined ? [] : [failure])].map((text): [string, string] => ["", text]),
    ["node", `${node} on ${platform}; TensorFlow would use ${counted(threads, "thread")} (TF_NUM_INTRAOP_THREADS)`],
    ...(untried.includes(platform) ? [["", "TensorFlow was not yet tried on such a machine"] as [string, string]] : []),
    ...describeGpu(gpu).map((text, index): [string, string] => [index === 0 ? "gpu" : "", text]),
    ["bfloat16", bfloat16 === undefined ? "whether the processor gains is not known" : describeBfloat16(bfloat16)],
    ["cache", `${cache.path}, ${formatBytes(cache.bytes)}`],
    ...cache.entries.map(({ name, bytes, installedAt, compared, problem }): [string, string] => {
      const state = problem ?? `installed ${installedAt!.slice(0, 10)}, ${comparison[compared!]}`;
      return ["", `${name}, ${formatBytes(bytes)}: ${state}`];
    }),
    ...tried.map(({ place, addon, problem }, index): [string, string] => [
      index === 0 ? "tried" : "",
      `${place}: ${addon === undefined ? problem : "found"}`,
    ]),
  ];
  return rows.map(([heading, text]) => `${heading.padEnd(10)}${text}`).join("\n");
}

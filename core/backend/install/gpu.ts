/** Which NVIDIA GPU, driver and CUDA a machine has, and why TensorFlow uses none. */
import type { Backend } from "../index.js";
import { runTool } from "./tools.js";

/** Plain JSON. */
export interface GpuStatus {
  readonly devices: readonly { readonly name: string; readonly memory: string }[];
  readonly driver?: string;
  /** The newest CUDA that the driver can run; the GPU variant brings CUDA 12. */
  readonly cuda?: string;
  /** One sentence; left out where TensorFlow uses the GPU. */
  readonly unused?: string;
}

export interface GpuQuestion {
  platform?: string;
  env?: NodeJS.ProcessEnv;
  /** Runs a program and gives what it printed. */
  run?: (command: string, args: readonly string[]) => Promise<string>;
  /** What a run would use. */
  backend: Pick<Backend, "name" | "device">;
  /** Whether the GPU variant is in the cache. */
  installed: boolean;
}

/** Asks nvidia-smi, which comes with NVIDIA's driver. */
export async function gpuStatus({
  platform = `${process.platform}-${process.arch}`,
  env = process.env,
  run = (command, args) => runTool(command, args, { signal: AbortSignal.timeout(10_000) }),
  backend,
  installed,
}: GpuQuestion): Promise<GpuStatus> {
  const nothing = (unused: string): GpuStatus => ({ devices: [], unused });
  if (platform !== "linux-x64") return nothing(`There is no GPU variant for ${platform}, only for linux-x64.`);
  let listed: string;
  let banner: string;
  try {
    listed = await run("nvidia-smi", ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]);
    banner = await run("nvidia-smi", []);
  } catch (error) {
    const missing = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
    const why = missing ? "nvidia-smi is missing" : `nvidia-smi failed: ${lastLine((error as Error).message)}`;
    return nothing(`No NVIDIA driver answers here (${why}).`);
  }
  const rows = listed.trim().split("\n").filter(Boolean);
  const found = rows.map((row) => row.split(",").map((each) => each.trim()));
  const status = {
    devices: found.map(([name = "", memory = ""]) => ({ name, memory })),
    driver: found[0]?.[2],
    cuda: /CUDA Version: *([\d.]+)/.exec(banner)?.[1],
  };
  const unused = whyUnused(status, { env, backend, installed });
  return unused === undefined ? status : { ...status, unused };
}

function whyUnused(
  { devices, cuda }: GpuStatus,
  { env, backend, installed }: Required<Pick<GpuQuestion, "env" | "backend" | "installed">>,
): string | undefined {
  if (devices.length === 0) return "The NVIDIA driver lists no GPU.";
  if (backend.name === "tensorflow" && backend.device.startsWith("GPU")) return undefined;
  if (!installed) return "The GPU variant is not installed. To get it: trainer backend install --gpu";
  const { CUDA_VISIBLE_DEVICES: visible } = env;
  if (visible !== undefined && !/^(GPU-|MIG-|\d)/.test(visible)) {
    return `CUDA_VISIBLE_DEVICES is "${visible}", which hides every GPU.`;
  }
  if (cuda !== undefined && Number.parseFloat(cuda) < 12) {
    return `The driver runs CUDA ${cuda} at most; TensorFlow needs a driver for CUDA 12.`;
  }
  return "TensorFlow found no GPU that it can use. TF_CPP_MIN_LOG_LEVEL=0 trainer backend status shows its reasons.";
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1)!;

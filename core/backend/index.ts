/** Choosing and loading a tensor backend: TensorFlow where it is installed, wasm everywhere else. */

import * as tf from "@tensorflow/tfjs-core";

import { TrainerError } from "../errors.js";
import { notInstalled } from "./install/cache.js";
import { findCandidates } from "./install/candidates.js";
import { restoreNodeUtil } from "./node-util-shim.js";

export type BackendName = "tensorflow" | "wasm";

export interface Backend {
  name: BackendName;
  /** TensorFlow's version, or that of tf.js' wasm backend. */
  version: string;
  device: string;
  /** Threads within one operation. Part of what a run is a function of: another number gives other bits. */
  threads: number;
  /** What a reader of the run's record should know. */
  notes: string[];
  /** One line, where TensorFlow could not be loaded: why, what is slower, how to get it. */
  fallback?: string;
}

export interface LoadOptions {
  /** Without one, TensorFlow if it can be loaded, else wasm. */
  name?: BackendName;
  log?: (line: string) => void;
}

const backends = new Map<BackendName, Promise<Backend>>();

/**
 * Loads a backend and makes it tf.js' current one. A process loads each at most once: a second call answers with the
 * same object (and, if the other one was current, makes it current again). Without a name, what is current stays.
 *
 * @throws TrainerError ERR_BACKEND if TensorFlow is asked for by name and cannot be loaded
 */
export async function loadBackend({ name, log = () => {} }: LoadOptions = {}): Promise<Backend> {
  const backend = await (name ? loadOnce(name) : loadBest(log));
  if (tf.getBackend() !== backend.name) await tf.setBackend(backend.name);
  return backend;
}

async function loadBest(log: (line: string) => void): Promise<Backend> {
  const current = [...backends.keys()].find((name) => name === tf.getBackend());
  if (current) return loadOnce(current);
  try {
    return await loadOnce("tensorflow");
  } catch (error) {
    const wasm = await loadOnce("wasm");
    wasm.fallback = `Training on the wasm backend, several times slower than TensorFlow: ${(error as Error).message.replaceAll(/\s*\n\s*/g, " ")}`;
    log(wasm.fallback);
    return wasm;
  }
}

function loadOnce(name: BackendName): Promise<Backend> {
  const known = backends.get(name);
  if (known) return known;
  const loading = name === "tensorflow" ? loadTensorflow() : loadWasm();
  backends.set(name, loading);
  // A failure is not kept: the backend may be installed while the process lives.
  loading.catch(() => backends.delete(name));
  return loading;
}

async function loadTensorflow(): Promise<Backend> {
  restoreNodeUtil();
  const problems: string[] = [];
  for (const candidate of await findCandidates()) {
    if ("problem" in candidate) {
      if (candidate.problem !== notInstalled) problems.push(`${candidate.place}: ${candidate.problem}`);
      continue;
    }
    try {
      await import("./gradients.js");
      const { startTensorflow } = await import("./tensorflow.js");
      const started = await startTensorflow(candidate.addon);
      return { name: "tensorflow", ...started, notes: candidate.note ? [candidate.note] : [] };
    } catch (error) {
      problems.push(`${candidate.place}: ${(error as Error).message}`);
    }
  }
  const why = problems.length > 0 ? `cannot be loaded (${problems.join("; ")})` : "is not installed";
  throw new TrainerError("ERR_BACKEND", `TensorFlow ${why}. To get it: trainer backend install`);
}

async function loadWasm(): Promise<Backend> {
  await import("./gradients.js");
  const { startWasm } = await import("./wasm/wasm.js");
  return { name: "wasm", ...(await startWasm()) };
}

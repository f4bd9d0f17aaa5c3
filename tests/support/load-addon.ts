/** Loads an addon, or TensorFlow, as a process of its own would, and says how that went. */
import { Worker, workerData } from "node:worker_threads";
import { loadBackend } from "../../core/backend/index.js";
import { loadQuietly } from "../../core/backend/quiet-load.js";

const what = (workerData as string | null) ?? process.argv[2];
if (what === "tensorflow") console.log((await loadBackend({ name: "tensorflow" })).name);
else if (what === "worker") {
  const [tsx, self] = [import.meta.resolve("tsx/esm/api"), import.meta.url].map((url) => JSON.stringify(url));
  const code = `import { register } from ${tsx}; register(); await import(${self});`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: "tensorflow" });
  worker.on("exit", (code) => console.log("worker", code));
} else {
  try {
    loadQuietly(what!);
    console.log("loaded");
  } catch (error) {
    console.log((error as Error).message.split("\n")[0]);
  }
}

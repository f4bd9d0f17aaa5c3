/**
 * Ends what keeps the main thread busy for too long: a loop without end hears no timer. A second thread waits, and
 * then has the engine terminate what runs, as a debugger would; the main thread goes on with its next turn. That holds
 * for what a promise runs, as modules and functions of a config are; a loop in the callback of a timer takes the process
 * with it.
 */
import { Worker } from "node:worker_threads";

export interface Watchdog {
  stop(): void;
}

/** In words for `new Worker`, since the published package is one file. */
const guard = `
  const { workerData: { shared, patience } } = require("node:worker_threads");
  const { Session } = require("node:inspector");
  const stopped = new Int32Array(shared);
  if (Atomics.wait(stopped, 0, 0, patience) === "timed-out") {
    const session = new Session();
    session.connectToMainThread();
    session.post("Runtime.terminateExecution", () => session.disconnect());
  }
`;

/** Watches from now on. Whoever stops it in time comes to no harm. */
export function watch(patience: number): Watchdog {
  const shared = new SharedArrayBuffer(4);
  const stopped = new Int32Array(shared);
  const worker = new Worker(guard, { eval: true, execArgv: [], workerData: { shared, patience } });
  worker.unref();
  worker.on("error", () => {}); // a Node without an inspector: then nobody watches
  return {
    stop() {
      Atomics.store(stopped, 0, 1);
      Atomics.notify(stopped, 0);
    },
  };
}

/**
 * Ends what keeps the main thread busy for too long: a loop without end hears no timer. A second thread waits, and
 * then has the engine terminate what runs, as a debugger would; the main thread goes on with its next turn. That holds
 * for what a promise runs, as modules and functions of a config are; a loop in the callback of a timer takes the process
 * with it.
 */
import { Worker } from "node:worker_threads";

export interface Watchdog {
  /** Resolves once it can do nothing more. */
  stop(): Promise<void>;
}

/** What the guard and whoever is guarded tell each other. */
const [watching, stopped, bitten] = [0, 1, 2];

/** In words for `new Worker`, since the published package is one file. */
const guard = `
  const { workerData: { shared, patience } } = require("node:worker_threads");
  const { Session } = require("node:inspector");
  const state = new Int32Array(shared);
  Atomics.wait(state, 0, ${watching}, patience);
  if (Atomics.compareExchange(state, 0, ${watching}, ${bitten}) === ${watching}) {
    const session = new Session();
    session.connectToMainThread();
    session.post("Runtime.terminateExecution", () => session.disconnect());
  }
`;

/** Watches from now on. Whoever stops it in time comes to no harm. */
export function watch(patience: number): Watchdog {
  const shared = new SharedArrayBuffer(4);
  const state = new Int32Array(shared);
  const worker = new Worker(guard, { eval: true, execArgv: [], workerData: { shared, patience } });
  worker.unref();
  worker.on("error", () => {}); // a Node without an inspector: then nobody watches
  const gone = new Promise<void>((resolve) => worker.on("exit", () => resolve()));
  return {
    async stop() {
      const before = Atomics.compareExchange(state, 0, watching, stopped);
      Atomics.notify(state, 0);
      if (before !== bitten) return;
      worker.ref(); // a process that ended now would wait for a debugger, and say so
      await gone;
    },
  };
}

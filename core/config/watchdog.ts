/**
 * Ends a process whose main thread is busy for too long: a loop without end hears no timer and no signal's handler. A
 * second thread waits, and then has the engine stop the main thread, as a debugger would, and leave.
 */
import { Worker } from "node:worker_threads";

export interface Watchdog {
  stop(): void;
}

export interface WatchdogOptions {
  /** Milliseconds. */
  patience: number;
  /** What is said on standard error before the process leaves with `code`. */
  text: string;
  code: number;
}

/**
 * In words for `new Worker`, since the published package is one file. A process that leaves waits for its debuggers to
 * go, so this one goes after a second; should the main thread not have left by then, all begins again.
 */
const guard = `
  const { shared, patience, text, code } = require("node:worker_threads").workerData;
  const { writeSync } = require("node:fs");
  const { Session } = require("node:inspector");
  const expression = "globalThis.process.reallyExit(" + code + ")";
  const end = () => {
    const session = new Session();
    session.connectToMainThread();
    session.on("Debugger.paused", ({ params: { callFrames: [{ callFrameId }] } }) => {
      session.post("Debugger.evaluateOnCallFrame", { callFrameId, expression });
    });
    session.post("Debugger.enable");
    session.post("Debugger.pause");
    setTimeout(() => (session.disconnect(), end()), 1000);
  };
  if (Atomics.wait(new Int32Array(shared), 0, 0, patience) === "timed-out") {
    writeSync(2, text);
    end();
  }
`;

/** Watches from now on. */
export function watch({ patience, text, code }: WatchdogOptions): Watchdog {
  const shared = new SharedArrayBuffer(4);
  const stopped = new Int32Array(shared);
  const workerData = { shared, patience, text, code };
  const worker = new Worker(guard, { eval: true, execArgv: [], workerData });
  worker.unref();
  worker.on("error", () => {}); // a Node without an inspector: then nobody watches
  return {
    stop() {
      Atomics.store(stopped, 0, 1);
      Atomics.notify(stopped, 0);
    },
  };
}

/** A process that does with a run's lock what it is told. */

import { TrainerError } from "../../core/errors.js";
import { system } from "../../core/files.js";
import { lockRun, type RunLock } from "../../run/lock.js";

export type Order =
  /** Tries at a point of Date.now(), so that many try together; is killed before that call to the system. */
  | { readonly lock: string; readonly at?: number; readonly killBefore?: number }
  | { readonly release: true }
  /** Keeps the event loop from turning, and says so before. */
  | { readonly block: true }
  | { readonly exit: number };

export interface Answer {
  readonly locked: boolean;
  readonly milliseconds: number;
  readonly abandoned?: RunLock["abandoned"];
  readonly message?: string;
  readonly exitCode?: number;
}

let lock: RunLock | undefined;
process.on("exit", () => lock?.release());
process.on("message", (order: Order) => {
  if ("exit" in order) process.exit(order.exit);
  if ("lock" in order) {
    if (order.killBefore !== undefined) killBefore(order.killBefore);
    process.send!(attempt(order.lock, order.at ?? 0));
  }
  if ("release" in order) {
    lock?.release();
    lock = undefined;
    process.send!({ locked: false, milliseconds: 0 } satisfies Answer);
  }
  if ("block" in order) {
    process.send!({ locked: true, milliseconds: 0 } satisfies Answer, () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
  }
});

function attempt(folder: string, at: number): Answer {
  while (Date.now() < at);
  const start = performance.now();
  const milliseconds = (): number => performance.now() - start;
  try {
    lock = lockRun(folder);
    return { locked: true, abandoned: lock.abandoned, milliseconds: milliseconds() };
  } catch (error) {
    if (!(error instanceof TrainerError)) throw error;
    return { locked: false, message: error.message, exitCode: error.exitCode, milliseconds: milliseconds() };
  }
}

function killBefore(last: number): void {
  let at = 0;
  const watched = Object.entries(system).map(([name, call]) => [
    name,
    (...args: never[]) => {
      if (at++ === last) process.kill(process.pid, "SIGKILL");
      return (call as (...args: never[]) => unknown)(...args);
    },
  ]);
  Object.assign(system, Object.fromEntries(watched));
}

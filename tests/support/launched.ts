/** `trainer --devices N` on a run of seconds, for tests that do something to its ranks. */
import { fileURLToPath } from "node:url";
import { type Ended, start } from "./trainer-process.js";

const program = fileURLToPath(new URL("../../bin/trainer.mjs", import.meta.url));
const config = fileURLToPath(new URL("process.config.ts", import.meta.url));

/** Optimizer steps of the run. */
export const steps = 10;

/** The same run in one process. */
export const launchAlone = (out: string, ...more: string[]): string[] => [
  ...[process.execPath, program, "--config", config],
  ...["--max-steps", String(steps), "--out", out, "--resume", "--checkpoint-every", "1", "--json", ...more],
];

/** The command that is repeated until it ends with 0. */
export const launch = (out: string, devices: number, ...more: string[]): string[] => [
  ...launchAlone(out, "--devices", String(devices), "--with", "data-parallel"),
  ...["--set", "plugins.data-parallel.watchdogSeconds=20", "--set", "plugins.data-parallel.startSeconds=60", ...more],
];

export interface Fault {
  readonly rank: number;
  /** Where, and the how many-th time there. */
  readonly hook: "onStep" | "afterBackward" | "beforeEvaluate";
  readonly count: number;
  readonly signal: NodeJS.Signals;
  /** Default: the rank itself. */
  readonly to?: "launcher" | "both";
}

/** Runs a command to its end. With a fault, a rank sends a signal to itself at that place. */
export function launched(command: readonly string[], fault?: Fault): Promise<Ended> {
  const FAULT = fault ? [fault.rank, fault.hook, fault.count, fault.signal, fault.to ?? ""].join(" ") : "none";
  return start(command, { env: { FAULT } }).ended;
}

/** `trainer --devices N` on a run of seconds, for tests that do something to its ranks. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Ended, type Started, start } from "./trainer-process.js";

const program = fileURLToPath(new URL("../../bin/trainer.mjs", import.meta.url));
const config = fileURLToPath(new URL("process.config.ts", import.meta.url));

/** Optimizer steps of the run. */
export const steps = 10;

/** The command that is repeated until it ends with 0. */
export const launch = (out: string, devices: number, ...more: string[]): string[] => [
  process.execPath,
  program,
  ...["--devices", String(devices), "--config", config, "--with", "data-parallel"],
  ...["--set", "plugins.data-parallel.watchdogSeconds=20", "--set", "plugins.data-parallel.startSeconds=60"],
  ...["--max-steps", String(steps), "--out", out, "--resume", "--checkpoint-every", "1", "--json", ...more],
];

/** The processes of a launcher, by rank. */
export function ranksOf(launcher: number): number[] {
  const found: number[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = /^\d+ \(.*\) \S (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
      const rank = /(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, "latin1"))?.[1];
      if (Number(parent) === launcher && rank !== undefined) found[Number(rank)] = Number(pid);
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}

export interface Fault {
  readonly rank: number | "launcher";
  readonly signal: NodeJS.Signals;
  /** Events of rank 0 before it. */
  readonly after: number;
}

/** Starts a run and sends a signal once so many events have come. */
export async function faulty(command: readonly string[], { rank, signal, after }: Fault): Promise<Ended> {
  const run: Started = start(command);
  await run.lines(after);
  const pid = rank === "launcher" ? run.child.pid : ranksOf(run.child.pid!)[rank];
  if (pid === undefined) throw new Error(`There is no rank ${rank} any more: ${(await run.ended).stderr}`);
  process.kill(pid, signal);
  return run.ended;
}

/** Starts a run and waits for its end. */
export const whole = (command: readonly string[]): Promise<Ended> => start(command).ended;

/**
 * The identity of a process. Its number alone is none: the system reuses it, every container counts its own, and after a
 * reboot all start again.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Identifies a process, now and later. A field is empty where the system does not tell. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between boot and the process's start. */
  readonly processStart: string;
  /** Differs after each boot. */
  readonly bootId: string;
  /** Which processes `pid` counts: a container's, or the host's. */
  readonly pidNamespace: string;
  readonly host: string;
}

export type Fate = "living" | "dead" | "unknown";

export function thisProcess(): ProcessIdentity {
  return {
    pid: process.pid,
    processStart: processStart(process.pid),
    bootId: orEmpty(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    pidNamespace: pidNamespace(),
    host: hostname(),
  };
}

/**
 * Whether a process lives. Stopped and blocked processes live; one that has ended and waits for its parent does not.
 * Processes of another host or container cannot be seen from here.
 */
export function fateOf(other: ProcessIdentity): Fate {
  const here = thisProcess();
  if (other.host !== here.host) return "unknown";
  if (other.bootId !== here.bootId) return other.bootId && here.bootId ? "dead" : "unknown";
  if (other.pidNamespace !== here.pidNamespace) return "unknown";
  return isRunning(other.pid, other.processStart) ? "living" : "dead";
}

/** Whether the process of this number and start runs, on this host and in this container. */
function isRunning(pid: number, start: string): boolean {
  const now = processStart(pid);
  if (now !== "") return now === start;
  try {
    process.kill(pid, 0);
    return processStart(process.pid) === ""; // no /proc here; with one, a living process would be in it
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's, whose /proc is hidden from us
  }
}

/** A living process's start, in clock ticks since boot. */
function processStart(pid: number): string {
  return orEmpty(() => {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...rest] = line.slice(line.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? "" : rest[18]!;
  });
}

/** A number for the processes that this one can see. */
function pidNamespace(): string {
  return orEmpty(() => readlinkSync("/proc/self/ns/pid").replaceAll(/\D/g, "")); // of "pid:[4026531836]"
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return ""; // not Linux, or no such process
  }
}

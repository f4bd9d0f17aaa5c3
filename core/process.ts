/**
 * Which process is which. A number alone does not say: the system hands it out again, every container counts
 * its own, and after a reboot all begin anew.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** What tells a process from all others, now and later. Empty text: the system does not say. */
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
 * Whether a process lives. A stopped one does, and so does one that is blocked; one that has ended and waits
 * for its parent to notice does not. Of another host or another container nobody can tell from here.
 */
export function fateOf(other: ProcessIdentity): "living" | "dead" | "unknown" {
  const here = thisProcess();
  if (other.host !== here.host) return "unknown";
  if (other.bootId !== here.bootId) return other.bootId && here.bootId ? "dead" : "unknown";
  if (other.pidNamespace !== here.pidNamespace) return "unknown";
  return isRunning(other.pid, other.processStart) ? "living" : "dead";
}

/** Whether the process that had this number and this start runs, on this host and in this container. */
export function isRunning(pid: number, start: string): boolean {
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
export function processStart(pid: number): string {
  return orEmpty(() => {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...rest] = line.slice(line.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? "" : rest[18]!;
  });
}

/** A number for the processes that this one can see. */
export function pidNamespace(): string {
  return orEmpty(() => readlinkSync("/proc/self/ns/pid").replaceAll(/\D/g, "")); // of "pid:[4026531836]"
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return ""; // not Linux, or no such process
  }
}

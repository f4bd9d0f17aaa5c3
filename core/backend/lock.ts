/**
 * One installer at a time in a cache folder.
 *
 * Every process that wants the lock makes a file of its own name (host, process id, process start) and holds the lock
 * if no other living one lies there. No file is ever taken over: a dead owner's file may be deleted by anybody at any
 * time, since nobody else can ever have made it. A single shared lock file has no such safe takeover: between reading
 * "stale" and replacing it, another process may have replaced it already.
 */

import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { open, readdir, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const prefix = "lock-";
const heartbeatMs = 5_000;
/** On another host (a container with a shared cache) a process cannot be seen; its heartbeat can. */
const silentMs = 60_000;

export interface LockOptions {
  /** Called once if somebody else holds it. */
  onWait?: (holder: string) => void;
  signal?: AbortSignal;
  pollMs?: number;
}

/** Waits for the lock of a folder; the answer releases it. */
export async function acquireLock(
  folder: string,
  { onWait, signal, pollMs = 250 }: LockOptions = {},
): Promise<() => Promise<void>> {
  const mine = ownName();
  for (let waited = false; ; ) {
    signal?.throwIfAborted();
    const holder = (await livingOwners(folder))[0];
    if (holder === undefined) {
      const release = await claim(folder, mine);
      if (release) {
        if ((await livingOwners(folder)).length === 1) return release;
        await release(); // two came at once: both step back, for unequal times
      }
    } else if (!waited) {
      waited = true;
      onWait?.(holder.slice(prefix.length));
    }
    await sleep(pollMs + randomInt(pollMs), undefined, { signal });
  }
}

/** The names of the lock files of living processes; deletes those of dead ones. */
async function livingOwners(folder: string): Promise<string[]> {
  const living: string[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    if (await isAlive(folder, name)) living.push(name);
    else await rm(join(folder, name), { force: true });
  }
  return living;
}

async function claim(folder: string, name: string): Promise<(() => Promise<void>) | undefined> {
  const path = join(folder, name);
  try {
    await (await open(path, "wx")).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined; // this process, a moment ago
    throw error;
  }
  const beat = setInterval(() => {
    const now = new Date();
    void utimes(path, now, now).catch(() => undefined);
  }, heartbeatMs);
  beat.unref();
  return async () => {
    clearInterval(beat);
    await rm(path, { force: true });
  };
}

function ownName(): string {
  return `${prefix}${process.pid}-${processStart(process.pid) ?? "0"}-${safeHost()}`;
}

function safeHost(): string {
  return hostname().replaceAll(/[^\w.]/g, "_");
}

async function isAlive(folder: string, name: string): Promise<boolean> {
  const [pid, start, host] = name.slice(prefix.length).split("-");
  if (host === safeHost()) return isRunning(Number(pid), start!);
  const seen = await stat(join(folder, name)).then(({ mtimeMs }) => mtimeMs, () => 0);
  return Date.now() - seen < silentMs;
}

function isRunning(pid: number, start: string): boolean {
  const now = processStart(pid);
  if (now !== undefined) return now === start;
  try {
    process.kill(pid, 0);
    return start === "0"; // no /proc here; with one, the process would have been in it
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A process's start, in clock ticks since boot: tells a living owner from a later process with its number. */
function processStart(pid: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    return line.slice(line.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/**
 * One installer at a time in a cache folder.
 *
 * Every process that wants the lock makes a file of its own name (host, process id, process start) and holds the lock
 * if no other living one lies there. No file is ever taken over: a dead owner's file may be deleted by anybody at any
 * time, since nobody else can ever have made it. A single shared lock file has no such safe takeover: between reading
 * "stale" and replacing it, another process may have replaced it already.
 */

import { randomInt } from "node:crypto";
import { open, readdir, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { isRunning, pidNamespace, processStart } from "../../process.js";

const prefix = "lock-";
const heartbeatMs = 5_000;
/** On another host, or in another container with the same cache, a process cannot be seen; its heartbeat can. */
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
  return `${prefix}${process.pid}-${processStart(process.pid)}-${thisHost()}`;
}

/** This host, and which of its containers: a process id means nothing in another one. */
function thisHost(): string {
  return `${hostname()}.${pidNamespace()}`.replaceAll(/[^\w.]/g, "_");
}

async function isAlive(folder: string, name: string): Promise<boolean> {
  const [pid, start, host] = name.slice(prefix.length).split("-");
  if (host === thisHost()) return isRunning(Number(pid), start!);
  const seen = await stat(join(folder, name)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  return Date.now() - seen < silentMs;
}

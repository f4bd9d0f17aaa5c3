/**
 * The lock of a cache folder: one process at a time, and the others wait, since they want what the first one makes.
 *
 * A dead process's lock is taken over. On another host or in another container with the same cache, a process cannot be
 * seen; its heartbeat can, so its lock is taken over after a minute of silence.
 */
import { randomInt } from "node:crypto";
import { statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { acquire, release } from "./exclusive-file.js";
import { describeHolder, holderOf, ownContent } from "./holder.js";

export const waitingLockFile = "cache.lock";

const heartbeatMs = 5_000;
const silentMs = 60_000;

export interface WaitOptions {
  /** Called once with the holder, if another process holds the lock. */
  onWait?: (holder: string) => void;
  signal?: AbortSignal;
  /** Milliseconds between two attempts; the real pause is up to twice as long, by chance. */
  pollMs?: number;
}

/**
 * Waits for the lock of a folder.
 *
 * @returns what releases it; never throws
 * @throws what the file system throws, and the signal's reason
 */
export async function waitForLock(
  folder: string,
  { onWait, signal, pollMs = 250 }: WaitOptions = {},
): Promise<() => void> {
  const path = join(folder, waitingLockFile);
  for (let first = true; ; first = false) {
    signal?.throwIfAborted();
    const content = ownContent();
    const { heldBy } = acquire(path, { content, mayReplace: isAbandoned });
    if (heldBy === undefined) return keepAlive(path, content);
    if (first) onWait?.(describeHolder(holderOf(heldBy).holder));
    await sleep(pollMs + randomInt(pollMs), undefined, { signal });
  }
}

function isAbandoned(content: string, path: string): boolean {
  const { fate } = holderOf(content);
  if (fate !== "unknown") return fate === "dead";
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > silentMs;
}

function keepAlive(path: string, content: string): () => void {
  const beat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(path, now, now);
    } catch {
      // Without a heartbeat, another host takes the lock over after a minute. That is all a failure can do.
    }
  }, heartbeatMs);
  beat.unref();
  return () => {
    clearInterval(beat);
    release(path, content);
  };
}

/**
 * One process at a time in a run's folder.
 *
 * `run.lock` names the process that holds the run, for as long as that process lives, whether it works, blocks or is
 * stopped: there is no heartbeat that could be late. The lock of a dead process is taken over, by one process only
 * (`core/lock/exclusive-file.ts`).
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { TrainerError } from "../core/errors.js";
import { ioError, system } from "../core/files.js";
import { acquire, release } from "../core/lock/exclusive-file.js";
import { describeHolder, holderOf, ownContent } from "../core/lock/holder.js";

export const lockFile = "run.lock";

export interface RunLock {
  /**
   * Compares the lock with what this process wrote; before everything that is written into the folder. The same content in
   * another file is another lock: a copied folder has a copied one.
   *
   * @throws TrainerError ERR_LOCKED where the folder was moved, removed or replaced, or the lock removed or changed
   */
  check(): void;
  /**
   * Removes the lock, if it is still this process's; any number of times, also while the process exits. Never throws: a
   * lock that cannot be removed is a dead process's lock once this one has ended.
   */
  release(): void;
  /** From whom the lock was taken over: that run was killed. */
  readonly abandoned?: { readonly pid: number; readonly since: string };
  /** From whom `force` took the lock though it may live; part of a sentence for the user. */
  readonly forced?: string;
}

/**
 * Takes the lock on a run's folder, at once or not at all.
 *
 * @param force take it also where nobody can tell whether its holder lives: on another host, in another
 *   container, or where the file does not say who it is. Never from a process that is seen to live
 * @throws TrainerError ERR_LOCKED with the holder, since when, the file and what to do; ERR_OUTPUT for a
 *   folder that cannot be written; ERR_IO otherwise
 */
export function lockRun(folder: string, { force = false }: { force?: boolean } = {}): RunLock {
  const path = join(folder, lockFile);
  const content = ownContent();
  const mayReplace = (found: string): boolean => {
    const { fate } = holderOf(found);
    return fate === "dead" || (force && fate === "unknown");
  };
  const { heldBy, replaced } = orOutputError(folder, () => acquire(path, { content, mayReplace }));
  if (heldBy !== undefined) throw lockedError(folder, path, heldBy);
  const mine = { content, file: orOutputError(folder, () => fileIdentity(path)) };
  return {
    ...(replaced === undefined ? {} : takenFrom(replaced)),
    check: () => {
      const reason = orOutputError(folder, () => lossOf(folder, path, mine));
      if (reason !== undefined) throw lostError(folder, reason);
    },
    release() {
      try {
        if (fileIdentity(path) === mine.file) release(path, content);
      } catch {
        // as the description says
      }
    },
  };
}

/** Which file has this name; undefined if none. */
function fileIdentity(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/** How a lock was lost; undefined while it is held. */
function lossOf(folder: string, path: string, mine: { content: string; file?: string }): string | undefined {
  const file = fileIdentity(path);
  if (file === undefined) return existsSync(folder) ? `${path} was removed` : "the folder was moved or removed";
  const content = String(readFileSync(path));
  if (file === mine.file && content === mine.content) return undefined;
  const { holder, fate } = holderOf(content);
  if (content === mine.content) return "the folder was replaced by a copy";
  return fate === "living" ? `${describeHolder(holder)} holds it now` : "the folder was replaced, or its lock changed";
}

function lostError(folder: string, reason: string): TrainerError {
  return new TrainerError(
    "ERR_LOCKED",
    `The run lost its folder ${folder}: ${reason}. It stopped and writes nothing more. If the folder was moved, resume ` +
      "the run there: trainer --resume NEW_PATH",
  );
}

/** Whether a run is under way in a folder, as far as this machine can determine it. */
export function isHeld(folder: string): boolean {
  try {
    return holderOf(String(system.readFileSync(join(folder, lockFile)))).fate === "living";
  } catch {
    return false; // no lock
  }
}

function takenFrom(content: string): Pick<RunLock, "abandoned" | "forced"> {
  const { holder, fate } = holderOf(content);
  if (!holder || fate !== "dead") return { forced: describeHolder(holder) };
  return { abandoned: { pid: holder.pid, since: holder.since } };
}

function lockedError(folder: string, path: string, content: string): TrainerError {
  const { holder, fate } = holderOf(content);
  const who = `${folder} is held by ${describeHolder(holder)}`;
  const other = "choose another folder with --out";
  const message =
    fate === "unknown"
      ? `${who}, and it cannot be seen from here whether it still runs (${path}). Once you are sure that it ` +
        `does not, take the lock over with --force-unlock, or ${other}.`
      : `${who} (${path}). Wait for its end, stop it (kill ${holder!.pid}), or ${other}.`;
  return new TrainerError("ERR_LOCKED", message);
}

const unwritable: readonly unknown[] = ["EACCES", "ENOENT", "ENOTDIR", "EPERM", "EROFS"];

function orOutputError<T>(folder: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!unwritable.includes(code)) throw ioError(`Locking ${folder}`, cause);
    throw new TrainerError(
      "ERR_OUTPUT",
      `The run's folder ${folder} cannot be locked: ${message}. Make it writable, or choose another with --out.`,
      { cause },
    );
  }
}

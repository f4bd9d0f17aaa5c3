/**
 * One process at a time in a run's folder.
 *
 * `run.lock` names the process that holds the run, for as long as that process lives, whether it works, blocks or is
 * stopped: there is no heartbeat that could be late. The lock of a dead process is taken over, by one process only
 * (`core/lock/exclusive-file.ts`).
 */
import { join } from "node:path";
import { TrainerError } from "../core/errors.js";
import { ioError, system } from "../core/files.js";
import { acquire, release } from "../core/lock/exclusive-file.js";
import { describeHolder, holderOf, ownContent } from "../core/lock/holder.js";

export const lockFile = "run.lock";

export interface RunLock {
  /**
   * Gives the run back, if this lock still holds it; any number of times, also while the process exits.
   * Never throws: what cannot be removed is a dead process's lock once this one has ended.
   */
  release(): void;
  /** From whom the lock was taken over: that run ended without a word. */
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
  return {
    ...(replaced === undefined ? {} : takenFrom(replaced)),
    release: () => release(path, content),
  };
}

/** Whether a run is under way in a folder, as far as that can be told from here. */
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
      ? `${who}, and from here nobody can tell whether it still runs (${path}). Once you are sure that it ` +
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
      `The run's folder ${folder} cannot be locked: ${message}. Make it writable, or choose another with ` + "--out.",
      { cause },
    );
  }
}

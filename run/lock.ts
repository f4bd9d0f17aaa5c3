/**
 * One process at a time in a run's folder.
 *
 * `run.lock` names the process that holds the run, and holds it for as long as that process lives, whether
 * it works, blocks or is stopped: there is no heartbeat that could be late. The file appears whole, and a
 * process that has died never comes back, so a lock is taken over from a dead one only, and by one only
 * (`claim.ts`).
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import { fateOf, thisProcess } from "../core/process.js";
import { claim, disclaim } from "./exclusive-file.js";
import { ioError, system } from "./files.js";

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

const holderSchema = z.object({
  pid: z.int().positive(),
  processStart: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  host: z.string(),
  nonce: z.string(),
  since: z.iso.datetime(),
});
type Holder = z.output<typeof holderSchema>;

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
  const holder: Holder = { ...thisProcess(), nonce: randomUUID(), since: new Date().toISOString() };
  const content = `${JSON.stringify(holder)}\n`;
  const mayReplace = (found: string): boolean => {
    const { fate } = holderOf(found);
    return fate === "dead" || (force && fate === "unknown");
  };
  const { heldBy, replaced } = orOutputError(folder, () => claim(path, { content, mayReplace }));
  if (heldBy !== undefined) throw lockedError(folder, path, heldBy);
  return {
    ...(replaced === undefined ? {} : takenFrom(replaced)),
    release() {
      try {
        disclaim(path, content);
      } catch {
        // as the description says
      }
    },
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

/** Who a lock's content names, and whether it lives. A content that is no lock's of ours may be anybody's. */
function holderOf(content: string): { holder?: Holder; fate: ReturnType<typeof fateOf> } {
  try {
    const holder = holderSchema.parse(JSON.parse(content));
    return { holder, fate: fateOf(holder) };
  } catch {
    return { fate: "unknown" };
  }
}

function takenFrom(content: string): Pick<RunLock, "abandoned" | "forced"> {
  const { holder, fate } = holderOf(content);
  if (!holder || fate !== "dead") return { forced: describe(holder) };
  return { abandoned: { pid: holder.pid, since: holder.since } };
}

function lockedError(folder: string, path: string, content: string): TrainerError {
  const { holder, fate } = holderOf(content);
  const who = `${folder} is held by ${describe(holder)}`;
  const other = "choose another folder with --out";
  const message =
    fate === "unknown"
      ? `${who}, and from here nobody can tell whether it still runs (${path}). Once you are sure that it ` +
        `does not, take the lock over with --force-unlock, or ${other}.`
      : `${who} (${path}). Wait for its end, stop it (kill ${holder!.pid}), or ${other}.`;
  return new TrainerError("ERR_LOCKED", message);
}

/** Part of a sentence. */
function describe(holder: Holder | undefined): string {
  if (!holder) return "a process whose lock is damaged or just being written";
  const here = thisProcess();
  const { pid, host, since, pidNamespace } = holder;
  const container = pidNamespace === here.pidNamespace ? "" : " of another container";
  const where = host === here.host ? container : ` on host ${JSON.stringify(host)}`;
  return `process ${pid}${where} since ${since}`;
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

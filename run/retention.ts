/** What is taken out of a run's `checkpoints`: old ones, those of another future, what dead writers left. */
import { join } from "node:path";
import { flushFolder, ioError, system } from "../core/files.js";
import { readVerified } from "./checkpoint-files.js";
import { comparePlaces, isTemporary, type Place, temporaryPath } from "./checkpoint-names.js";
import { type ListedCheckpoint, listCheckpoints, namesIn } from "./checkpoints.js";

/**
 * Removes all but the last `keep`, at least two, and the best.
 *
 * @param best step whose checkpoints stay whatever their age
 * @returns paths of those removed
 * @throws TrainerError ERR_IO when the newest, read back, is not what was saved: nothing is removed then
 */
export function pruneCheckpoints(folder: string, { keep, best }: { keep: number; best?: number }): string[] {
  const listed = listCheckpoints(folder);
  const old = listed.slice(0, -Math.max(2, keep)).filter(({ step }) => step !== best);
  if (old.length === 0) return [];
  readVerified(listed.at(-1)!.path);
  return remove(folder, old);
}

/**
 * Removes the checkpoints after a place. A run that resumes from there writes its own: it must neither resume from the old
 * ones, nor prune its own in their favour.
 *
 * @returns paths of those removed
 */
export function discardAfter(folder: string, place: Place): string[] {
  const later = listCheckpoints(folder).filter((each) => comparePlaces(each, place) > 0);
  return remove(folder, later.reverse());
}

function remove(folder: string, checkpoints: readonly ListedCheckpoint[]): string[] {
  if (checkpoints.length === 0) return [];
  try {
    const moved = checkpoints.map(({ step, path }) => {
      const temporary = temporaryPath(folder, step);
      system.renameSync(path, temporary);
      return temporary;
    });
    flushFolder(folder);
    for (const path of moved) system.rmSync(path, { recursive: true });
    return checkpoints.map(({ path }) => path);
  } catch (cause) {
    throw ioError(`Removing old checkpoints in ${folder}`, cause);
  }
}

/**
 * Removes what writers left half done. They are dead: the caller holds the run's lock. No pid is asked,
 * since it may by now be another's; in a container every start has the same.
 *
 * @returns their paths
 */
export function removeLeftovers(folder: string): string[] {
  const leftovers = namesIn(folder)
    .filter(isTemporary)
    .map((name) => join(folder, name));
  try {
    for (const path of leftovers) system.rmSync(path, { recursive: true });
  } catch (cause) {
    throw ioError(`Removing leftovers in ${folder}`, cause);
  }
  return leftovers;
}

/**
 * A run's checkpoints on disk, `checkpoints/step-00001234/`. Pure disk work that knows nothing of training.
 *
 * A name without `.tmp-` stands for a checkpoint that is complete: it is given by one rename, after
 * everything below it was flushed, and taken away by one, before anything below it is removed. What a power
 * cut leaves is therefore old or new, never half; and whatever reads a checkpoint verifies it all the same,
 * since disks lie. Callers hold the run's lock: there is one writer.
 */
import { dirname, join } from "node:path";
import { TrainerError } from "../core/errors.js";
import { flushFolder, ioError, system, writeFlushed } from "../core/files.js";
import {
  type Checkpoint,
  type CheckpointFiles,
  decodeCheckpoint,
  encodeCheckpoint,
  manifestName,
  readVerified,
} from "./checkpoint-files.js";
import { comparePlaces, namedPlace, type Place, placeName, temporaryPath } from "./checkpoint-names.js";

export type { Checkpoint, CheckpointTensor } from "./checkpoint-files.js";

export interface ListedCheckpoint extends Required<Place> {
  readonly path: string;
}

export interface SavedCheckpoint {
  readonly path: string;
  /** Of all its files. */
  readonly bytes: number;
  /** The problem of a checkpoint that was at this place before and has been replaced. */
  readonly replaced?: string;
}

/**
 * Saves a checkpoint; when this returns, it survives power loss. A resumed run comes to the same places
 * again: the same checkpoint is left unchanged, and one that is damaged or different is replaced by
 * the new one. In the moment between the two renames of a replacement there is none of this place: a crash
 * then costs one interval.
 *
 * @param folder the run's `checkpoints`; created if missing, but not what it lies in
 * @throws TrainerError ERR_IO with path, bytes needed and bytes free. What was there before is there still,
 *   nothing new has a name, and no flush is retried: after a failed one the content of the disk is unknown
 */
export function saveCheckpoint(folder: string, checkpoint: Checkpoint): SavedCheckpoint {
  const files = encodeCheckpoint(checkpoint);
  const path = join(folder, placeName(checkpoint));
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  const exists = listCheckpoints(folder).some((each) => comparePlaces(each, checkpoint) === 0);
  const replaced = exists ? difference(path, files) : undefined;
  const undo: (() => void)[] = [];
  try {
    makeFolder(folder);
    if (exists && replaced === undefined) {
      flushFolder(folder); // the process that renamed it may have died before this
      return { path, bytes };
    }
    const temporary = temporaryPath(folder, checkpoint.step);
    system.mkdirSync(temporary);
    undo.push(() => system.rmSync(temporary, { recursive: true }));
    for (const [name, content] of files) writeFlushed(join(temporary, name), content);
    flushFolder(temporary);
    const aside = temporaryPath(folder, checkpoint.step);
    if (exists) {
      system.renameSync(path, aside);
      undo.push(() => system.renameSync(aside, path));
    }
    system.renameSync(temporary, path);
    undo.push(() => system.renameSync(path, temporary));
    flushFolder(folder);
    if (exists) attempt(() => system.rmSync(aside, { recursive: true }));
    return { path, bytes, replaced };
  } catch (cause) {
    for (const act of undo.reverse()) attempt(act);
    throw ioError(`Saving the checkpoint ${path}`, cause, { bytes, folder });
  }
}

/** How the checkpoint at `path` differs from these files, as a sentence; undefined if it is the same. */
function difference(path: string, files: CheckpointFiles): string | undefined {
  try {
    const manifest = Buffer.from(readVerified(path).get(manifestName)!);
    return manifest.equals(files.get(manifestName)!) ? undefined : `${path} was valid, but has another state.`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Its own entry is flushed each time: the process that made it may have died before it did. */
function makeFolder(folder: string): void {
  try {
    system.mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  flushFolder(dirname(folder));
}

/** Cleanup whose own failure is ignored: a failure before it is reported, or the next start removes the rest. */
function attempt(act: () => void): void {
  try {
    act();
  } catch {
    // What is left has a temporary name, or is complete.
  }
}

/** What there is by name, valid or not, the earliest place first; nothing where there is no folder. */
export function listCheckpoints(folder: string): ListedCheckpoint[] {
  return namesIn(folder)
    .flatMap((name) => {
      const place = namedPlace(name);
      return place ? [{ ...place, path: join(folder, name) }] : [];
    })
    .sort(comparePlaces);
}

/** @throws TrainerError ERR_IO with file, expected and found for one that is not what was saved */
export function readCheckpoint(path: string): Checkpoint {
  return decodeCheckpoint(path, readVerified(path));
}

/** The latest valid checkpoint, and the later ones that are invalid, each with its problem. */
export function newestCheckpoint(folder: string): {
  checkpoint?: Checkpoint;
  skipped: { path: string; problem: string }[];
} {
  const skipped: { path: string; problem: string }[] = [];
  for (const { path } of listCheckpoints(folder).reverse()) {
    try {
      return { checkpoint: readCheckpoint(path), skipped };
    } catch (error) {
      if (!(error instanceof TrainerError) || error.code !== "ERR_IO") throw error;
      skipped.push({ path, problem: error.message });
    }
  }
  return { skipped };
}

/** @throws TrainerError ERR_IO for a folder that is there and cannot be read */
export function namesIn(folder: string): string[] {
  try {
    return system.readdirSync(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new TrainerError("ERR_IO", `${folder} cannot be read: ${(cause as Error).message}.`, { cause });
  }
}

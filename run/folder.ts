/** A run's own folder: created before anything is loaded, and never one that holds something else. */
import { accessSync, constants, type Dirent, existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { TrainerError } from "../core/errors.js";
import { flushFolder, ioError, system, unfinishedFiles } from "../core/files.js";
import { runFiles } from "./files.js";
import { isHeld, lockFile } from "./lock.js";

export interface RunFolder {
  readonly path: string;
  /** Takes an empty folder away again: a run that failed before its first file leaves nothing. */
  removeIfEmpty(): void;
}

/**
 * Refuses a run's folder that holds links, symbolic or hard. A run may come from elsewhere: what is written to a file of
 * it must not end up outside of it. The lock's files have two names while it is being taken.
 *
 * @throws TrainerError ERR_OUTPUT with the first link
 */
export function mustHoldNoLinks(folder: string): void {
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) mustHoldNoLinks(path);
    const isLock = entry.name === lockFile || entry.name.startsWith(`${lockFile}.`);
    const names = (entry.isFile() && !isLock && lstatSync(path, { throwIfNoEntry: false })?.nlink) || 1;
    if (!entry.isSymbolicLink() && names === 1) continue;
    const found = entry.isSymbolicLink() ? "a symbolic link" : `one with ${names} names (hard links)`;
    throw new TrainerError(
      "ERR_OUTPUT",
      `${path}: expected a file or folder of the run's own, got ${found}. Nothing is written into a run's folder with ` +
        "links, since that could change files outside of it. Copy the run with cp -rL and use the copy.",
    );
  }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return []; // a checkpoint that another process just removed
    throw new TrainerError("ERR_OUTPUT", `The run's folder ${folder} cannot be read: ${message}.`, { cause });
  }
}

/**
 * The folder of a run that is resumed.
 *
 * @throws TrainerError ERR_OUTPUT when it cannot be written, or holds links
 */
export function existingRunFolder(path: string): RunFolder {
  try {
    accessSync(path, constants.W_OK);
  } catch (cause) {
    throw new TrainerError("ERR_OUTPUT", `The run's folder ${path} cannot be written: ${(cause as Error).message}.`, {
      cause,
    });
  }
  mustHoldNoLinks(path);
  return { path, removeIfEmpty: () => {} };
}

/**
 * Removes what a process was killed over while it wrote it, in a run's folder and in those inside it. The caller holds the
 * run's lock, so nobody writes it now. Unfinished checkpoints are folders, and whoever writes checkpoints removes them.
 *
 * @throws TrainerError ERR_IO
 */
export function removeUnfinished(folder: string): void {
  try {
    const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const each of [folder, ...inside.map(({ name }) => join(folder, name))]) {
      for (const name of unfinishedFiles(each)) {
        const path = join(each, name);
        if (lstatSync(path).isFile()) system.rmSync(path);
      }
    }
  } catch (cause) {
    throw ioError(`Removing unfinished files in ${folder}`, cause);
  }
}

/** A path as one would type it from here. */
export function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

/** A lock, one half taken and a file half written are what a run left that was killed before its first file. */
function holdsSomething(folder: string): boolean {
  const nothing = [lockFile, ...unfinishedFiles(folder)];
  return readdirSync(folder).some((name) => !nothing.includes(name) && !name.startsWith(`${lockFile}.`));
}

/** Why a new run cannot start in a folder, and what to do; never the advice to remove a run. */
function occupied(path: string): TrainerError {
  const other = "choose another folder with --out";
  if (isHeld(path)) {
    const message = `The run's folder ${path} holds a run that is under way. Wait for its end, or ${other}.`;
    return new TrainerError("ERR_LOCKED", message);
  }
  const advice = !existsSync(join(path, runFiles.config))
    ? `is not empty and holds no run. Please ${other}.`
    : existsSync(join(path, runFiles.summary))
      ? `holds a run. Resume or extend it with --resume ${path}, or ${other}.`
      : `holds an unfinished run. Resume it with --resume ${path}, or ${other}.`;
  return new TrainerError("ERR_OUTPUT", `The run's folder ${path} ${advice}`);
}

/**
 * Creates `out`, or the next free `runs/<name>-<number>`.
 *
 * @throws TrainerError ERR_OUTPUT when it cannot be created, cannot be written, or holds something already; ERR_LOCKED when a
 *   run is under way in it
 */
export function createRunFolder({
  out,
  name,
  root = "runs",
}: {
  out?: string;
  name: string;
  root?: string;
}): RunFolder {
  const created: string[] = [];
  const make = (path: string): void => {
    if (existsSync(path)) return;
    make(dirname(path));
    mkdirSync(path);
    created.push(path);
    flushFolder(dirname(path)); // a checkpoint survives power loss only with all that it lies in
  };
  const removeIfEmpty = (): void => {
    for (const path of [...created].reverse()) {
      try {
        rmdirSync(path);
      } catch {
        return; // it holds something: it stays, and so does what it lies in
      }
    }
  };
  try {
    if (out !== undefined) {
      const path = resolve(out);
      if (existsSync(path) && holdsSomething(path)) throw occupied(path);
      make(path);
      accessSync(path, constants.W_OK);
      mustHoldNoLinks(path);
      return { path, removeIfEmpty };
    }
    make(resolve(root));
    for (let number = 1; ; number++) {
      const path = join(resolve(root), `${name}-${number}`);
      try {
        mkdirSync(path); // the one that creates it owns it: two runs started at once get two numbers
        created.push(path);
        flushFolder(dirname(path));
        return { path, removeIfEmpty };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
  } catch (cause) {
    removeIfEmpty();
    if (cause instanceof TrainerError) throw cause;
    const path = out ?? join(root, `${name}-…`);
    throw new TrainerError(
      "ERR_OUTPUT",
      `The run's folder ${resolve(path)} cannot be created: ${(cause as Error).message}. ` +
        "Choose another with --out.",
      { cause },
    );
  }
}

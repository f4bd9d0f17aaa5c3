/**
 * The lock primitive: a file that only one of many processes gets. It is created if missing, and replaced if its content
 * may be.
 *
 * Replacing is the delicate part. Between reading the old content and replacing it, another process may have replaced
 * it already. So the right to replace one certain content is a file of its own, `<path>.after-<digest of that content>`,
 * acquired in the same way. The process that has it, and still finds the old content, renames its file over the other;
 * no other process may. No content comes twice, so a late process cannot mistake a new content for the old one. The right
 * of a process that died is replaced by the same rule.
 */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { removeQuietly, system, writeAll } from "../files.js";

export interface Outcome {
  /** The content that keeps us out; without it the file is ours. */
  readonly heldBy?: string;
  /** The content that ours replaced. */
  readonly replaced?: string;
}

export interface Candidate {
  /** The content to write; never the same twice. */
  readonly content: string;
  /** Whether this content, of the file at `path`, is abandoned. Once abandoned, it stays so. */
  mayReplace(content: string, path: string): boolean;
}

/** Acquires a file, at once or not at all. */
export function acquire(path: string, candidate: Candidate): Outcome {
  const outcome = acquireFile(path, path, candidate);
  if (outcome.heldBy === undefined) removeLeftovers(path);
  return outcome;
}

/**
 * Removes an acquired file if it still has our content; any number of times. Never throws: a lock that cannot be removed
 * is a dead process's lock once this process has ended.
 */
export function release(path: string, content: string): void {
  try {
    if (read(path) === content) system.rmSync(path);
  } catch {
    // as the description says
  }
}

/** A round without a decision follows another process's change, so there are few. */
const rounds = 100;

function acquireFile(path: string, base: string, candidate: Candidate): Outcome {
  for (let round = 0; round < rounds; round++) {
    const found = read(path);
    if (found === candidate.content) return {}; // a network disk may say "exists" of what it has just made
    if (found === undefined) {
      if (create(path, base, candidate.content)) return {};
      continue;
    }
    if (!candidate.mayReplace(found, path)) return { heldBy: found };
    const right = `${base}.after-${digest(found)}`;
    const { heldBy } = acquireFile(right, base, candidate);
    const unchanged = read(path) === found;
    if (heldBy === undefined) {
      if (unchanged && rename(right, path)) return { replaced: found };
      if (!unchanged) system.rmSync(right, { force: true });
    } else if (unchanged) {
      return { heldBy }; // about to replace it, and nobody can come between
    }
  }
  throw new Error(`${path} can be neither read nor created, like a link whose target is missing`);
}

/** Creates a file with its content in one step; false if there is one, or if the draft was removed meanwhile. */
function create(path: string, base: string, content: string): boolean {
  const draft = `${base}.new-${digest(content)}`;
  try {
    write(draft, content, "w");
    system.linkSync(draft, path);
    return true;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== "link") throw error;
    return code === "EEXIST" || code === "ENOENT" ? false : createInPlace(path, content);
  } finally {
    removeQuietly(draft);
  }
}

/**
 * For disks without hard links (FAT, some network disks). A process that dies between creating the file and writing it
 * leaves an empty one, which looks like that of a slow process.
 */
function createInPlace(path: string, content: string): boolean {
  try {
    write(path, content, "wx");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Flushed, so that no power cut leaves the name without the content. */
function write(path: string, content: string, flags: "w" | "wx"): void {
  const file = system.openSync(path, flags);
  try {
    writeAll(file, Buffer.from(content));
    system.fsyncSync(file);
  } catch (error) {
    removeQuietly(path);
    throw error;
  } finally {
    system.closeSync(file);
  }
}

function read(path: string): string | undefined {
  return unlessMissing(() => system.readFileSync(path, "utf8"));
}

function rename(from: string, to: string): boolean {
  return unlessMissing(() => (system.renameSync(from, to), true)) ?? false;
}

function unlessMissing<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Files of processes that died in `acquire`, or that are about to be refused: a process that misses its own reads the
 * file itself again, and finds it held.
 */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  try {
    for (const name of system.readdirSync(folder)) {
      if (name.startsWith(`${basename(path)}.`)) system.rmSync(join(folder, name), { force: true });
    }
  } catch {
    // harmless, and the next holder tries again
  }
}

const digest = (content: string): string => createHash("sha256").update(content).digest("hex").slice(0, 16);

/**
 * A file that one of many processes gets: made where there is none, replaced where its content may be.
 *
 * Replacing is the delicate part. Between reading the old content and replacing it somebody else may have
 * replaced it, and what is renamed or removed then is theirs. So the right to replace one certain content is
 * a file of its own, `<path>.after-<digest of that content>`, claimed in this same way. Whoever has it and
 * finds that content still there renames this file over the other; nobody else may. No content comes twice,
 * so a late comer cannot take a new one for the one it saw. What a process that died with that right leaves
 * is replaced by the same rule.
 */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { system, writeAll } from "./files.js";

export interface Claim {
  /** The content that keeps us out; without it the file is ours. */
  readonly heldBy?: string;
  /** The content that ours took the place of. */
  readonly replaced?: string;
}

export interface Claimant {
  /** What the file is to say; never the same twice. */
  readonly content: string;
  /** Whether a content stands for nobody any more. Once it does, it always will. */
  mayReplace(content: string): boolean;
}

/** Claims a file, at once or not at all. */
export function claim(path: string, claimant: Claimant): Claim {
  const claimed = claimFile(path, path, claimant);
  if (claimed.heldBy === undefined) removeLitter(path);
  return claimed;
}

/** Removes a claimed file, if it is still the claimant's. */
export function disclaim(path: string, content: string): void {
  if (read(path) === content) system.rmSync(path);
}

/** A round that does not decide follows another process's change, so there are few. */
const rounds = 100;

function claimFile(path: string, base: string, claimant: Claimant): Claim {
  for (let round = 0; round < rounds; round++) {
    const found = read(path);
    if (found === claimant.content) return {}; // a network disk may say "exists" of what it has just made
    if (found === undefined) {
      if (create(path, base, claimant.content)) return {};
      continue;
    }
    if (!claimant.mayReplace(found)) return { heldBy: found };
    const right = `${base}.after-${digest(found)}`;
    const { heldBy } = claimFile(right, base, claimant);
    const unchanged = read(path) === found;
    if (heldBy === undefined) {
      if (unchanged && rename(right, path)) return { replaced: found };
      if (!unchanged) system.rmSync(right, { force: true });
    } else if (unchanged) {
      return { heldBy }; // about to replace it, and nobody can come between
    }
  }
  throw new Error(`${path} can be neither read nor made, like a link that leads nowhere`);
}

/** Makes a file with its content in one go; false where there is one, or where the draft was swept away. */
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
    system.rmSync(draft, { force: true });
  }
}

/**
 * For disks without links (FAT, some network disks). A process that dies between making the file and writing
 * it leaves an empty one, and nobody can tell that from a process that is slow.
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
    system.rmSync(path, { force: true });
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
 * Files of processes that died while they claimed, or that are being refused: whoever misses one of them
 * looks at the file itself again, and finds it held.
 */
function removeLitter(path: string): void {
  const folder = dirname(path);
  try {
    for (const name of system.readdirSync(folder)) {
      if (name.startsWith(`${basename(path)}.`)) system.rmSync(join(folder, name), { force: true });
    }
  } catch {
    // it harms nobody, and the next holder tries again
  }
}

const digest = (content: string): string => createHash("sha256").update(content).digest("hex").slice(0, 16);

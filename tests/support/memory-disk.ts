/**
 * A disk in memory in the place of the system: it records every change, fails where a test says, and shows
 * all that a power cut may leave.
 *
 * Folders and files are nodes with a number, so that a file is what it is whether or not its name was
 * flushed. What is assumed of a real disk is little: a change is lost or kept, whatever came before or after
 * it, until the node that it changed is flushed; a write may also be kept in half, or as zeros; a rename is
 * one change. Flushing a file does not flush its name.
 */

import { system } from "../../core/files.js";
import type { Stream } from "../../core/rng.js";

/** `d1` is a folder, `f2` a file; `d0` is the root. */
type Id = string;

export interface Tree {
  readonly folders: Map<Id, Map<string, Id>>;
  readonly files: Map<Id, Uint8Array>;
}

export type Change =
  | {
      readonly kind: "names";
      readonly node: Id;
      readonly set: readonly (readonly [string, Id | undefined])[];
    }
  | { readonly kind: "write"; readonly node: Id; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "flush"; readonly node: Id; readonly path: string }
  | { readonly kind: "note"; readonly note: unknown };

export type Call = keyof typeof system;

export interface Disk {
  readonly tree: Tree;
  readonly changes: Change[];
  /** Every call so far, with its path. */
  readonly calls: { readonly call: Call; readonly path: string }[];
  /** Is asked before each call; the code it returns makes the call fail. */
  fault: (call: Call, path: string) => string | undefined;
  /** How many bytes of a write are taken. */
  takes: (length: number) => number;
  /** The process dies before this change: from then on every call fails. */
  dieAt: number;
  /** The bytes of a file, to look at or to damage. */
  file(path: string): Uint8Array;
  /** Puts other content in a file's place, or removes it, past the port. */
  put(path: string, bytes: Uint8Array | undefined): void;
}

const real = { ...system };
export const useRealDisk = (): void => void Object.assign(system, real);

export const emptyTree = (): Tree => ({ folders: new Map([["d0", new Map()]]), files: new Map() });

export function apply({ folders, files }: Tree, change: Change): void {
  if (change.kind === "names") {
    const names = folders.get(change.node) ?? new Map<string, Id>();
    folders.set(change.node, names);
    for (const [name, id] of change.set) {
      if (id === undefined) names.delete(name);
      else names.set(name, id);
    }
  } else if (change.kind === "write") {
    const before = files.get(change.node) ?? new Uint8Array();
    const after = new Uint8Array(Math.max(before.length, change.at + change.bytes.length));
    after.set(before);
    after.set(change.bytes, change.at);
    files.set(change.node, after);
  }
}

/** The system's calls go to this tree from now on. */
export function useMemoryDisk(tree: Tree = emptyTree()): Disk {
  const opened = new Map<number, { id: Id; path: string }>();
  let nextId = 1 + Math.max(0, ...[...tree.folders.keys(), ...tree.files.keys()].map((id) => Number(id.slice(1))));
  let nextFile = 3;

  const parts = (path: string): string[] => path.split("/").filter(Boolean);
  const namesOf = (id: Id): ReadonlyMap<string, Id> => {
    if (!id.startsWith("d")) throw failure("ENOTDIR");
    return tree.folders.get(id) ?? new Map();
  };
  const find = (path: string): Id | undefined =>
    parts(path).reduce<Id | undefined>((id, name) => (id === undefined ? id : namesOf(id).get(name)), "d0");
  const need = (path: string): Id => find(path) ?? fail("ENOENT", path);
  const place = (path: string): { folder: Id; name: string } => {
    const all = parts(path);
    return { folder: need(all.slice(0, -1).join("/")), name: all.at(-1)! };
  };
  const record = (change: Change): void => {
    if (disk.changes.length >= disk.dieAt) throw failure("KILLED");
    disk.changes.push(change);
    apply(tree, change);
  };
  const make = (path: string, kind: "d" | "f"): Id => {
    const { folder, name } = place(path);
    const id = `${kind}${nextId++}`;
    record({ kind: "names", node: folder, set: [[name, id]] });
    return id;
  };
  const remove = (folder: Id, name: string, id: Id): void => {
    if (id.startsWith("d")) for (const [child, childId] of [...namesOf(id)]) remove(id, child, childId);
    record({ kind: "names", node: folder, set: [[name, undefined]] });
  };

  const port: Partial<Record<Call, (...args: never[]) => unknown>> = {
    openSync(path: string, flags: string) {
      if (flags === "wx" && find(path) !== undefined) fail("EEXIST", path);
      opened.set(nextFile, { id: flags === "wx" ? make(path, "f") : need(path), path });
      return nextFile++;
    },
    writeSync(file: number, bytes: Uint8Array, offset: number, length: number) {
      const { id } = opened.get(file)!;
      const taken = disk.takes(length);
      const at = tree.files.get(id)?.length ?? 0;
      record({ kind: "write", node: id, at, bytes: bytes.slice(offset, offset + taken) });
      return taken;
    },
    fsyncSync(file: number) {
      const { id, path } = opened.get(file)!;
      record({ kind: "flush", node: id, path });
    },
    fstatSync: (file: number) => ({ size: tree.files.get(opened.get(file)!.id)?.length ?? 0 }),
    closeSync: (file: number) => void (opened.delete(file) || fail("EBADF", String(file))),
    mkdirSync: (path: string) => void (find(path) === undefined ? make(path, "d") : fail("EEXIST", path)),
    readdirSync: (path: string) => [...namesOf(need(path)).keys()],
    readFileSync(path: string) {
      const id = need(path);
      return id.startsWith("d") ? fail("EISDIR", path) : Buffer.from(tree.files.get(id) ?? []);
    },
    renameSync(from: string, to: string) {
      const id = need(from);
      const [source, target] = [place(from), place(to)];
      if (source.folder !== target.folder) throw new Error("This disk renames within a folder only.");
      const there = find(to);
      if (there?.startsWith("d") && namesOf(there).size > 0) fail("ENOTEMPTY", to);
      record({
        kind: "names",
        node: source.folder,
        set: [
          [source.name, undefined],
          [target.name, id],
        ],
      });
    },
    rmSync(path: string, { recursive = false, force = false }: { recursive?: boolean; force?: boolean } = {}) {
      const id = find(path);
      if (id === undefined) return force ? undefined : fail("ENOENT", path);
      if (id.startsWith("d") && !recursive) fail("EISDIR", path);
      const { folder, name } = place(path);
      return remove(folder, name, id);
    },
    statfsSync: () => ({ bavail: 7, bsize: 512 }),
  };

  const disk: Disk = {
    tree,
    changes: [],
    calls: [],
    fault: () => undefined,
    takes: (length) => length,
    dieAt: Infinity,
    file: (path) => tree.files.get(need(path))!,
    put(path, bytes) {
      const { folder, name } = place(path);
      const id = find(path) ?? `f${nextId++}`;
      apply(tree, { kind: "names", node: folder, set: [[name, bytes && id]] });
      if (bytes) tree.files.set(id, bytes);
    },
  };
  for (const call of Object.keys(port) as Call[]) {
    const asked = (first: string | number, ...rest: unknown[]): unknown => {
      const path = typeof first === "number" ? (opened.get(first)?.path ?? "") : first;
      if (disk.changes.length >= disk.dieAt) throw failure("KILLED");
      disk.calls.push({ call, path });
      const code = disk.fault(call, path);
      if (code !== undefined) fail(code, path);
      return (port[call] as (...args: unknown[]) => unknown)(first, ...rest);
    };
    Object.assign(system, { [call]: asked });
  }
  return disk;
}

const failure = (code: string, path = ""): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: it would not, '${path}'`), { code });
function fail(code: string, path: string): never {
  throw failure(code, path);
}

/**
 * What the disk may hold when the power goes after these changes: every combination of unflushed changes
 * kept and lost, or a random choice of `samples` of them where there are more than `most`.
 */
export function* afterPowerCut(
  changes: readonly Change[],
  draws: Stream,
  { most = 1024, samples = 500 } = {},
): Generator<Tree> {
  const flushed = new Map<Id, number>();
  changes.forEach((change, at) => change.kind === "flush" && flushed.set(change.node, at));
  /** Ways in which each change may have reached the disk. */
  const ways = changes.map((change, at): number => {
    if (change.kind === "flush" || change.kind === "note" || at < (flushed.get(change.node) ?? -1)) return 1;
    return change.kind === "write" ? 4 : 2;
  });
  const total = ways.reduce((product, count) => product * count, 1);
  const cases = total <= most ? total : samples;
  for (let number = 0; number < cases; number++) {
    const tree = emptyTree();
    let left = number;
    changes.forEach((change, at) => {
      const count = ways[at]!;
      const way = total <= most ? left % count : draws.int(count);
      left = Math.floor(left / count);
      if (change.kind !== "write") {
        if (way === 0) apply(tree, change);
        return;
      }
      const { bytes } = change;
      const kept = [bytes, new Uint8Array(), new Uint8Array(bytes.length), bytes.subarray(0, bytes.length >> 1)];
      apply(tree, { ...change, bytes: kept[way]! });
    });
    yield tree;
  }
}

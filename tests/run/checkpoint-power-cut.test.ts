/**
 * Whatever a power cut leaves, recovery finds the last checkpoint that was acknowledged or the one that was
 * being saved, and nothing else under a checkpoint's name. The changes of a real save are recorded; after
 * each of them, every combination of what was not flushed is tried.
 */
import { isDeepStrictEqual } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { flushFolder, system } from "../../core/files.js";
import { stream } from "../../core/rng.js";
import {
  type Checkpoint,
  listCheckpoints,
  newestCheckpoint,
  readCheckpoint,
  saveCheckpoint,
} from "../../run/checkpoints.js";
import { pruneCheckpoints, removeLeftovers } from "../../run/retention.js";
import { afterPowerCut, type Change, type Disk, useMemoryDisk, useRealDisk } from "../support/memory-disk.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

afterEach(useRealDisk);
const folder = "/run/checkpoints";

/** What recovery may give from a note on. */
type Allowed = readonly (Checkpoint | undefined)[];
type Allow = (...allowed: Allowed) => void;

/** Records the changes that `act` makes to a disk that already has a run's folder. */
function record(act: (allow: Allow, disk: Disk) => void): Change[] {
  const disk = useMemoryDisk();
  const allow: Allow = (...note) => void disk.changes.push({ kind: "note", note });
  system.mkdirSync("/run");
  flushFolder("/");
  allow(undefined);
  act(allow, disk);
  return disk.changes;
}

const save = (allow: Allow, next: Checkpoint, ...before: Allowed): void => {
  allow(...before, next);
  saveCheckpoint(folder, next);
  allow(next);
};

interface Verdict {
  states: number;
  /** The first state that breaks the promise. */
  broken?: string;
}

/** Recovers from everything that a cut after each change, the first `from` of them aside, may leave. */
function judge(
  changes: readonly Change[],
  { from = 3, ...limits }: { from?: number; most?: number; samples?: number } = {},
): Verdict {
  const draws = stream(1, "power cut", changes.length);
  let states = 0;
  for (let cut = from; cut <= changes.length; cut++) {
    const before = changes.slice(0, cut);
    const allowed = before.findLast(({ kind }) => kind === "note") as { note: Allowed } | undefined;
    for (const tree of afterPowerCut(before, draws, limits)) {
      states++;
      useMemoryDisk(tree);
      const problem = recovery(allowed!.note);
      if (problem !== undefined) return { states, broken: `after ${cut} of ${changes.length} changes: ${problem}` };
    }
  }
  return { states };
}

function recovery(allowed: Allowed): string | undefined {
  try {
    for (const { path } of listCheckpoints(folder)) readCheckpoint(path);
  } catch (error) {
    return (error as Error).message;
  }
  const { checkpoint } = newestCheckpoint(folder);
  if (allowed.some((each) => isDeepStrictEqual(each, checkpoint))) return undefined;
  return `found step ${checkpoint?.step}, and not ${allowed.map((each) => each?.step).join(" or ")}`;
}

const [first, second, third, fourth] = [1, 2, 3, 4].map((step) => sampleCheckpoint(step)) as [
  Checkpoint,
  Checkpoint,
  Checkpoint,
  Checkpoint,
];

/** A run's life: four saves, and the removal of the first two. */
const life = (): Change[] =>
  record((allow) => {
    save(allow, first, undefined);
    save(allow, second, first);
    save(allow, third, second);
    pruneCheckpoints(folder, { keep: 2 });
    save(allow, fourth, third);
    pruneCheckpoints(folder, { keep: 2 });
  });

/** Two saves to one place. Between the two renames of the second there is none of that place. */
const replacement = (): Change[] =>
  record((allow) => {
    save(allow, first, undefined);
    save(allow, second, first);
    save(allow, sampleCheckpoint(2, { variant: 1 }), second, first);
  });

/** The process is killed before a change of a save, and another saves the same again. */
function killedAt(change: number): { changes: Change[]; restart: number; died: boolean } {
  let died = false;
  let restart = 0;
  const changes = record((allow, disk) => {
    disk.dieAt = disk.changes.length + change;
    try {
      saveCheckpoint(folder, first);
    } catch {
      died = true;
    }
    disk.dieAt = Infinity;
    removeLeftovers(folder);
    allow(undefined, first);
    restart = disk.changes.length;
    saveCheckpoint(folder, first);
    allow(first);
  });
  return { changes, restart, died };
}

describe("a power cut", () => {
  it("at any moment of a run's life costs nothing that was acknowledged", () => {
    const { states, broken } = judge(life());
    expect(broken).toBeUndefined();
    expect(states).toBeGreaterThan(1000);
  });

  it("during a replacement gives the old, the new or the one before", () => {
    expect(judge(replacement()).broken).toBeUndefined();
  });

  it("after a process was killed in a save and another took over costs nothing either", () => {
    let kills = 0;
    for (let change = 0; ; change++) {
      const { changes, restart, died } = killedAt(change);
      expect(judge(changes, { from: restart, most: 64, samples: 40 }).broken).toBeUndefined();
      if (!died) break;
      kills++;
    }
    expect(kills).toBeGreaterThan(12);
  });
});

describe("the judge", () => {
  /** The index of every flush. */
  const flushes = (changes: readonly Change[]): number[] =>
    changes.flatMap(({ kind }, at) => (kind === "flush" && at >= 3 ? [at] : []));
  const without = (changes: readonly Change[], flush: number): Change[] => changes.filter((_, at) => at !== flush);
  const pathAt = (changes: readonly Change[], at: number): string => (changes[at] as { path: string }).path;

  it("misses no flush that is left out", () => {
    const changes = life();
    const few = { most: 256, samples: 100 };
    const unnoticed = flushes(changes).filter((at) => !judge(without(changes, at), { from: at, ...few }).broken);
    // Once `checkpoints` is in it for good, the run's folder is flushed for the sake of the next test alone.
    const needless = flushes(changes)
      .filter((at) => pathAt(changes, at) === "/run")
      .slice(1);
    expect(unnoticed).toEqual(needless);
    expect(flushes(changes).length - needless.length).toBeGreaterThan(20);
  });

  it("misses no flush that a second process owes for the first", () => {
    const all = record(() => saveCheckpoint(folder, first)).length - record(() => undefined).length;
    // The first made the folder and died; or it gave the checkpoint its name, and died before its last flush.
    for (const [change, path] of [
      [1, "/run"],
      [all - 1, folder],
    ] as const) {
      const { changes, restart } = killedAt(change);
      const owed = changes.findIndex((each, at) => at >= restart && each.kind === "flush" && each.path === path);
      expect(judge(changes, { from: restart }).broken).toBeUndefined();
      expect(judge(without(changes, owed), { from: restart }).broken).toMatch(/found step undefined/);
    }
  });

  it("misses no rename before its time", () => {
    const changes = life();
    const rename = changes.findIndex((change) => change.kind === "names" && change.set.length === 2);
    for (const earlier of [1, 2, 3]) {
      const swapped = without(changes, rename);
      swapped.splice(rename - earlier, 0, changes[rename]!);
      expect(judge(swapped).broken).toMatch(/step-00000001/);
    }
  });
});

/**
 * Every way in which three processes can come between each other while they acquire one file: each is stopped
 * or killed before each of its system calls, and the others run meanwhile. On a disk of memory, to be quick.
 */
import { afterEach, describe, expect, it } from "vitest";
import { system } from "../../../core/files.js";
import { acquire, release } from "../../../core/lock/exclusive-file.js";

const path = "/run/run.lock";
const real = { ...system };
afterEach(() => void Object.assign(system, real));

/** What a process does before its call number `at`, the first being 0: others may run, or it dies. */
type Plan = (at: number, die: () => void) => void;
type End = "holds" | "releases" | "dies";

/** A disk and the processes on it. A process's content is its name. */
function createWorld({ links = true } = {}) {
  const disk = new Map<string, { text: string }>();
  const opened: { text: string }[] = [];
  const dead = new Set<string>();
  const holding = new Set<string>();
  const won = new Set<string>();
  const heldBy = new Set<string>();
  let before: () => void = () => {};

  const fail = (code: string, syscall: string): never => {
    throw Object.assign(new Error(`${code}: ${syscall}`), { code, syscall });
  };
  const found = (name: string, syscall: string) => disk.get(name) ?? fail("ENOENT", syscall);
  const calls = {
    openSync(name: string, flags: string) {
      if (links && flags === "wx") throw new Error(`${name} is made in two steps`);
      if (flags === "wx" && disk.has(name)) fail("EEXIST", "open");
      const file = flags === "wx" ? { text: "" } : (disk.get(name) ?? { text: "" });
      file.text = "";
      disk.set(name, file);
      return opened.push(file) - 1;
    },
    writeSync(file: number, bytes: Buffer) {
      opened[file]!.text += bytes.toString();
      return bytes.length;
    },
    fsyncSync() {},
    closeSync() {},
    readFileSync: (name: string) => found(name, "open").text,
    linkSync(from: string, to: string) {
      if (!links) fail("EPERM", "link");
      const file = found(from, "link");
      if (disk.has(to)) fail("EEXIST", "link");
      disk.set(to, file);
    },
    renameSync(from: string, to: string) {
      const file = found(from, "rename");
      disk.delete(from);
      disk.set(to, file);
    },
    rmSync(name: string, { force = false } = {}) {
      if (!disk.delete(name) && !force) fail("ENOENT", "rm");
    },
    readdirSync: () => [...disk.keys()].map((name) => name.slice("/run/".length)),
  };
  const watched = Object.entries(calls).map(([name, call]) => [
    name,
    (...args: never[]) => {
      before();
      return (call as (...args: never[]) => unknown)(...args);
    },
  ]);
  Object.assign(system, Object.fromEntries(watched));

  /** Runs a process until it is refused, ends or dies. Whoever gets the file must be the only one. */
  function run(name: string, end: End, plan: Plan = () => {}): void {
    const others = before;
    let at = 0;
    before = () => {
      if (!dead.has(name)) plan(at++, () => dead.add(name));
      if (dead.has(name)) throw new Error(`${name} is dead`);
    };
    try {
      const outcome = acquire(path, { content: name, mayReplace: (content) => dead.has(content) });
      if (dead.has(name)) return;
      if (outcome.heldBy !== undefined) {
        heldBy.add(outcome.heldBy);
        return;
      }
      if (holding.size > 0) throw new Error(`${name} has it while ${[...holding].join()} has it`);
      won.add(name);
      holding.add(name);
      if (end === "holds") return;
      // It loses the file before the others can see that: a moment later would be one too late.
      holding.delete(name);
      if (end === "dies") dead.add(name);
      else release(path, name);
    } catch (error) {
      if (!dead.has(name)) throw error;
    } finally {
      before = others;
    }
  }
  return { links, disk, dead, holding, won, heldBy, run };
}
type World = ReturnType<typeof createWorld>;

/** How many rights to replace a file have been taken. */
const rights = (disk: World["disk"]): number =>
  [...disk].filter(([name, { text }]) => name.includes(".after-") && text !== "").length;

/** How a folder may have been left: whole, by a dead holder, and by ones that died taking over from it. */
const pasts: Readonly<Record<string, (world: World) => void>> = {
  nothing: () => {},
  "a dead holder": ({ run }) => run("x", "dies"),
  "a process that died while it took over": ({ run, disk }) => {
    run("x", "dies");
    run("y", "dies", (_, die) => rights(disk) > 0 && die());
  },
  "two that died while they took over": ({ run, disk }) => {
    run("x", "dies");
    for (const [count, name] of ["y", "z"].entries()) {
      run(name, "dies", (_, die) => {
        if (rights(disk) > count) die();
      });
    }
    expect(disk.size).toBeGreaterThan(3);
  },
};
const ends: readonly End[] = ["holds", "releases", "dies"];

/** Calls `explore` with 0, 1, 2, … until it says that the process had no such call. */
function eachCall(explore: (call: number) => boolean): number {
  let call = 0;
  while (explore(call)) call++;
  return call;
}

/** After any schedule: who was refused was refused for one that lived, and the next process gets the file. */
function checkAfter(world: World): void {
  const { links, won, dead, heldBy, holding, disk, run } = world;
  // Without links a file is empty for a moment, and somebody's all the same.
  const unknown = [...heldBy].filter((name) => !won.has(name) && !dead.has(name) && (links || name !== ""));
  const someone = ["a", "b", "c"].some((name) => won.has(name));
  for (const name of holding) dead.add(name);
  holding.clear();
  run("next", "holds");
  const next = [...holding];
  const files = [...disk.keys()];
  holding.clear();
  run("late", "holds");
  const refusedBy = [...heldBy].at(-1);
  release(path, "late");
  const afterLate = disk.size;
  release(path, "next");
  // One comparison: there are tens of thousands of schedules.
  expect({ unknown, someone, next, files, refusedBy, afterLate, left: disk.size }).toEqual({
    unknown: [],
    someone: true,
    next: ["next"],
    files: [path],
    refusedBy: "next",
    afterLate: 1,
    left: 0,
  });
}

describe.each(Object.entries(pasts))("after %s", (_, past) => {
  it.each([true, false])("one process at most has the file, whoever comes between (links: %s)", (links) => {
    let schedules = 0;
    for (const endOfB of ends) {
      for (const endOfC of ends) {
        const callsOfA = eachCall((stopA) => {
          let reachedA = false;
          eachCall((stopB) => {
            let reachedB = false;
            const world = createWorld({ links });
            past(world);
            world.run("a", "holds", (at) => {
              if (at !== stopA) return;
              reachedA = true;
              world.run("b", endOfB, (at) => {
                if (at !== stopB) return;
                reachedB = true;
                world.run("c", endOfC);
              });
            });
            schedules++;
            checkAfter(world);
            return reachedB;
          });
          return reachedA;
        });
        expect(callsOfA).toBeGreaterThan(7);
      }
    }
    expect(schedules).toBeGreaterThan(300);
  });

  it("a process that is killed before any of its calls leaves nothing that keeps others out", () => {
    eachCall((stopA) => {
      let reachedA = false;
      eachCall((killB) => {
        let reachedB = false;
        const world = createWorld();
        past(world);
        world.run("a", "holds", (at) => {
          if (at !== stopA) return;
          reachedA = true;
          world.run("b", "holds", (at, die) => {
            if (at !== killB) return;
            reachedB = true;
            die();
          });
          world.run("c", "holds");
        });
        checkAfter(world);
        return reachedB;
      });
      return reachedA;
    });
  });
});

describe("a disk without links", () => {
  it("keeps the empty file of a process that died at the wrong moment, since it may be a slow one's", () => {
    const { run, disk, heldBy, won } = createWorld({ links: false });
    run("a", "holds", (_, die) => disk.has(path) && die());
    expect(disk.get(path)!.text).toBe("");
    run("b", "holds");
    expect([[...heldBy], [...won]]).toEqual([[""], []]);
    expect(acquire(path, { content: "c", mayReplace: (content) => content === "" })).toEqual({ replaced: "" });
    expect([...disk]).toEqual([[path, { text: "c" }]]);
  });

  it.each(["openSync", "writeSync", "fsyncSync"] as const)(
    "says why a file cannot be made, and leaves none: %s",
    (call) => {
      const { disk } = createWorld({ links: false });
      const known = system[call] as (...args: unknown[]) => unknown;
      let calls = 0;
      // The first is the draft's, which is there before it is known that there are no links.
      Object.assign(system, {
        [call]: (...args: unknown[]) => {
          if (calls++ === 1) throw Object.assign(new Error("EIO: it would not"), { code: "EIO", syscall: call });
          return known(...args);
        },
      });
      expect(() => acquire(path, { content: "a", mayReplace: () => false })).toThrow("EIO: it would not");
      expect([...disk.keys()]).toEqual([]);
    },
  );

  it("looks again where another process made the file in between", () => {
    const { disk } = createWorld({ links: false });
    const { openSync } = system;
    system.openSync = (name, flags) => {
      if (flags === "wx") disk.set(path, { text: "b" });
      return openSync(name, flags);
    };
    expect(acquire(path, { content: "a", mayReplace: () => false })).toEqual({ heldBy: "b" });
    expect([...disk]).toEqual([[path, { text: "b" }]]);
  });
});

it("says why a file cannot be made also where its draft cannot be removed", () => {
  createWorld();
  const failing = (code: string) => () => {
    throw Object.assign(new Error(code), { code });
  };
  Object.assign(system, { writeSync: failing("ENOSPC"), rmSync: failing("EACCES") });
  expect(() => acquire(path, { content: "a", mayReplace: () => false })).toThrow("ENOSPC");
});

it("has a file also where its draft cannot be removed", () => {
  const { disk } = createWorld();
  system.rmSync = () => {
    throw Object.assign(new Error("EACCES"), { code: "EACCES" });
  };
  expect(acquire(path, { content: "a", mayReplace: () => false })).toEqual({});
  expect(disk.get(path)).toEqual({ text: "a" });
});

it("flushes a file before it has the name, so that no power cut leaves a name without content", () => {
  createWorld();
  const calls: string[] = [];
  for (const call of ["openSync", "writeSync", "fsyncSync", "closeSync", "linkSync"] as const) {
    const known = system[call] as (...args: unknown[]) => unknown;
    Object.assign(system, { [call]: (...args: unknown[]) => (calls.push(call), known(...args)) });
  }
  acquire(path, { content: "a", mayReplace: () => false });
  expect(calls).toEqual(["openSync", "writeSync", "fsyncSync", "closeSync", "linkSync"]);
});

it("looks again where its right to replace was swept away, by a holder that force takes it from", () => {
  const { disk, run } = createWorld();
  run("x", "dies");
  const { renameSync } = system;
  let swept = false;
  system.renameSync = (from, to) => {
    if (!swept) disk.delete(String(from));
    swept = true;
    renameSync(from, to);
  };
  expect(acquire(path, { content: "a", mayReplace: (content) => content === "x" })).toEqual({ replaced: "x" });
  expect([...disk]).toEqual([[path, { text: "a" }]]);
});

it("knows its own file where a network disk says that it exists", () => {
  const { disk } = createWorld();
  const { linkSync } = system;
  system.linkSync = (from, to) => {
    linkSync(from, to);
    throw Object.assign(new Error("EEXIST"), { code: "EEXIST", syscall: "link" });
  };
  expect(acquire(path, { content: "a", mayReplace: () => false })).toEqual({});
  expect([...disk.keys()]).toEqual([path]);
});

it("gives up where the name can be neither read nor made", () => {
  createWorld();
  system.linkSync = () => {
    throw Object.assign(new Error("EEXIST"), { code: "EEXIST", syscall: "link" });
  };
  expect(() => acquire(path, { content: "a", mayReplace: () => false })).toThrow(/target is missing/);
});

/** One process at a time in a run's folder, whatever becomes of the process. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { TrainerError } from "../../core/errors.js";
import { system } from "../../core/files.js";
import { isHeld, lockFile, lockRun, type RunLock } from "../../run/lock.js";
import { buildMember, type Member, stateOf, stop } from "../support/lock-crew.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-lock-"));
const members: Member[] = [];
let newMember: () => Member;
beforeAll(async () => {
  newMember = await buildMember(base);
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

let folder: string;
let path: string;
let count = 0;
beforeEach(() => {
  folder = join(base, `run-${count++}`);
  path = join(folder, lockFile);
  fs.mkdirSync(folder);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  for (const { process } of members.splice(0)) process.kill("SIGKILL");
});
const start = (): Member => {
  const member = newMember();
  members.push(member);
  return member;
};
/** A process that holds the lock. */
const startHolder = async (): Promise<Member> => {
  const member = start();
  expect(await member.ask({ lock: folder })).toMatchObject({ locked: true });
  return member;
};
const refusal = (options?: { force?: boolean }): TrainerError => {
  try {
    lockRun(folder, options).release();
  } catch (error) {
    return error as TrainerError;
  }
  throw new Error("It was not refused.");
};
const content = (): Record<string, unknown> => JSON.parse(fs.readFileSync(path, "utf8"));
/** Leaves a lock that differs from one of this very process. */
const leave = (changes: Record<string, unknown>): Record<string, unknown> => {
  const lock = lockRun(folder);
  const holder = { ...content(), ...changes };
  lock.release();
  fs.writeFileSync(path, JSON.stringify(holder));
  return holder;
};

describe("a run's lock", () => {
  it("names its holder, and is gone with it", () => {
    const lock = lockRun(folder);
    expect(lock).toEqual({ check: expect.any(Function), release: expect.any(Function) });
    expect(content()).toMatchObject({ pid: process.pid });
    const { since } = content();
    const { code, exitCode, message } = refusal();
    expect({ code, exitCode }).toEqual({ code: "ERR_LOCKED", exitCode: 75 });
    expect(message).toBe(
      `${folder} is held by process ${process.pid} since ${since} (${path}). Wait for its end, ` +
        `stop it (kill ${process.pid}), or choose another folder with --out.`,
    );
    expect(fs.readdirSync(folder)).toEqual([lockFile]);
    lock.release();
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it("is seen by whoever asks, as long as its holder lives", () => {
    expect(isHeld(folder), "nobody's").toBe(false);
    const lock = lockRun(folder);
    expect(isHeld(folder)).toBe(true);
    lock.release();
    expect(isHeld(folder), "released").toBe(false);
    leave({ bootId: "another boot" });
    expect(isHeld(folder), "a dead one's").toBe(false);
    leave({ host: "elsewhere" });
    expect(isHeld(folder), "nobody can tell").toBe(false);
    fs.writeFileSync(path, "damaged");
    expect(isHeld(folder), "damaged").toBe(false);
  });

  it("is released once: later calls take nothing from the next holder", () => {
    vi.useFakeTimers({ toFake: ["Date"] }); // within one millisecond
    const lock = lockRun(folder);
    lock.release();
    const next = lockRun(folder);
    lock.release();
    expect(refusal().code).toBe("ERR_LOCKED");
    next.release();
  });

  it("stays where somebody else has taken it over", () => {
    const lock = lockRun(folder);
    const other = { ...content(), nonce: "another" };
    fs.writeFileSync(path, JSON.stringify(other));
    lock.release();
    expect(content()).toEqual(other);
  });

  it("is released without a word where the folder is gone", () => {
    const lock = lockRun(folder);
    fs.rmSync(folder, { recursive: true });
    lock.release();
  });

  it("is released while the process exits", async () => {
    const holder = await startHolder();
    holder.process.send({ exit: 3 });
    expect(await holder.ended).toBe(3);
    expect(fs.readdirSync(folder)).toEqual([]);
  });
});

describe("a lock that is compared", () => {
  const lost = (lock: RunLock): string => {
    try {
      lock.check();
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_LOCKED", exitCode: 75 });
      const { message } = error as TrainerError;
      expect(message).toMatch(/It stopped and writes nothing more\. If the folder was moved, resume the run there: /);
      return message.slice(`The run lost its folder ${folder}: `.length).split(". It stopped")[0]!;
    }
    throw new Error("It was not lost.");
  };

  it("is held, however often it is compared", () => {
    const lock = lockRun(folder);
    for (let time = 0; time < 3; time++) lock.check();
    lock.release();
  });

  it("is lost where the folder was moved or removed", () => {
    const lock = lockRun(folder);
    fs.renameSync(folder, `${folder}-moved`);
    expect(lost(lock)).toBe("the folder was moved or removed");
    fs.renameSync(`${folder}-moved`, folder);
    lock.check();
    fs.rmSync(folder, { recursive: true });
    expect(lost(lock)).toBe("the folder was moved or removed");
  });

  it("is lost where a copy of the folder was put in its place, and the copy keeps its lock", () => {
    const lock = lockRun(folder);
    fs.renameSync(folder, `${folder}-moved`);
    fs.cpSync(`${folder}-moved`, folder, { recursive: true });
    expect(lost(lock)).toBe("the folder was replaced by a copy");
    lock.release();
    expect(fs.readdirSync(folder)).toEqual([lockFile]);
  });

  it("is lost where the lock was removed, also where another process took it then", async () => {
    const lock = lockRun(folder);
    fs.rmSync(path);
    expect(lost(lock)).toBe(`${path} was removed`);
    const holder = await startHolder();
    expect(lost(lock)).toMatch(new RegExp(`^process ${holder.pid} since .* holds it now$`));
    lock.release();
    expect(content()).toMatchObject({ pid: holder.pid });
  });

  it("is lost where the lock was changed in place, or another run's folder is there", () => {
    const lock = lockRun(folder);
    fs.appendFileSync(path, " ");
    fs.writeFileSync(path, "nobody");
    expect(lost(lock)).toBe("the folder was replaced, or its lock changed");
  });
});

describe("a holder that lives", () => {
  it.each([
    ["is stopped", stop],
    ["is blocked", async (holder: Member) => void (await holder.ask({ block: true }))],
  ])("keeps the lock, also against force, while it %s", async (_, halt) => {
    const holder = await startHolder();
    await halt(holder);
    for (const force of [false, true]) {
      const { exitCode, message } = refusal({ force });
      expect(exitCode).toBe(75);
      expect(message).toContain(`process ${holder.pid} since`);
      expect(message).not.toContain("--force-unlock");
    }
    expect(content()).toMatchObject({ pid: holder.pid });
  });

  it("goes on when it is continued", async () => {
    const holder = await startHolder();
    await stop(holder);
    expect(refusal().exitCode).toBe(75);
    holder.process.kill("SIGCONT");
    await holder.ask({ release: true });
    lockRun(folder).release();
  });
});

describe("a holder that is dead", () => {
  it("was killed: the next start has the lock within a second and knows of whom", async () => {
    const holder = await startHolder();
    const { since } = content();
    holder.process.kill("SIGKILL");
    expect(await holder.ended).toBe(null);
    const begin = performance.now();
    const lock = lockRun(folder);
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(lock).toMatchObject({ abandoned: { pid: holder.pid, since } });
    expect(content()).toMatchObject({ pid: process.pid });
    lock.release();
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it("waits for its parent to notice", async () => {
    const holder = await startHolder();
    holder.process.kill("SIGKILL");
    while (stateOf(holder.pid) !== "Z"); // this process, its parent, cannot notice before the next turn
    expect(lockRun(folder).abandoned?.pid).toBe(holder.pid);
  });

  it.each([
    ["its number belongs to another process now", { processStart: "1" }],
    ["the machine has been booted since", { bootId: "00000000-0000-4000-8000-000000000000" }],
    ["there is no process of its number", { pid: 2 ** 22 + 1 }], // above what Linux can be told to give
  ])("%s", (_, changes) => {
    const { pid, since } = leave(changes);
    const lock = lockRun(folder);
    expect(lock).toMatchObject({ abandoned: { pid, since } });
    expect(lock.forced).toBeUndefined();
    lock.release();
    expect(lockRun(folder).abandoned).toBeUndefined();
  });

  it("is cleared away with what it left half done", () => {
    leave({ processStart: "1" });
    fs.writeFileSync(`${path}.new-0123456789abcdef`, "");
    fs.writeFileSync(`${path}.after-0123456789abcdef`, "torn");
    fs.writeFileSync(join(folder, "run.lockless"), "another's");
    lockRun(folder);
    expect(fs.readdirSync(folder).sort()).toEqual([lockFile, "run.lockless"]);
  });
});

describe("a holder of whom nobody can tell", () => {
  it.each([
    ["on another host", { host: "elsewhere" }, ' on host "elsewhere"'],
    ["on another host that has another boot", { host: "elsewhere", bootId: "x" }, ' on host "elsewhere"'],
    ["in another container", { pidNamespace: "1" }, " of another container"],
    ["on a system that does not name its boot", { bootId: "" }, ""],
  ])("%s, is asked about, and gives way to force", (_, changes, where) => {
    const { pid, since } = leave({ ...changes, processStart: "1" });
    const who = `process ${pid}${where} since ${since}`;
    const { exitCode, message } = refusal();
    expect(exitCode).toBe(75);
    expect(message).toBe(
      `${folder} is held by ${who}, and it cannot be seen from here whether it still runs (${path}). Once ` +
        "you are sure that it does not, take the lock over with --force-unlock, or choose another folder " +
        "with --out.",
    );
    expect(content()).toMatchObject(changes);
    const lock = lockRun(folder, { force: true });
    expect(lock).toMatchObject({ forced: who });
    expect(lock.abandoned).toBeUndefined();
    expect(refusal({ force: true }).exitCode).toBe(75); // now it is a living one's
    lock.release();
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it("left a file that is torn, anywhere", () => {
    const nobody = "a process whose lock is damaged or just being written";
    const whole = JSON.stringify(leave({}));
    for (let length = 0; length < whole.length; length++) {
      fs.writeFileSync(path, whole.slice(0, length));
      const { exitCode, message } = refusal();
      expect(exitCode).toBe(75);
      expect(message).toContain(`is held by ${nobody}, and it cannot be seen from here`);
    }
    expect(lockRun(folder, { force: true }).forced).toBe(nobody);
  });

  it.each(["null", "[]", "7", '{"pid":-1}', '{"pid":"1"}', "\u0000".repeat(200), '{"__proto__":{"pid":1}}'])(
    "left something else: %j",
    (text) => {
      fs.writeFileSync(path, text);
      expect(refusal().code).toBe("ERR_LOCKED");
      expect(fs.readFileSync(path, "utf8")).toBe(text);
    },
  );
});

describe("a folder that cannot be locked", () => {
  it("is not there", () => {
    fs.rmdirSync(folder);
    expect(refusal()).toMatchObject({ code: "ERR_OUTPUT", exitCode: 73 });
    expect(refusal().message).toContain(`${folder} cannot be locked: ENOENT`);
    expect(refusal().message).toMatch(/Make it writable, or choose another with --out\.$/);
    expect(refusal().cause).toMatchObject({ code: "ENOENT" });
  });

  it.each([
    ["EROFS", 73],
    ["EACCES", 73],
    ["EPERM", 73],
    ["ENOTDIR", 73],
    ["ENOSPC", 74],
    ["EIO", 74],
  ])("fails with %s", (code, exitCode) => {
    vi.spyOn(system, "writeSync").mockImplementation(() => {
      throw Object.assign(new Error(`${code}: it would not`), { code, syscall: "write" });
    });
    expect(refusal()).toMatchObject({ exitCode, message: expect.stringContaining(folder) });
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it("has something else of that name", () => {
    fs.mkdirSync(path);
    expect(refusal()).toMatchObject({ code: "ERR_IO", message: expect.stringContaining("EISDIR") });
    fs.rmdirSync(path);
    fs.symlinkSync("nowhere", path);
    expect(refusal()).toMatchObject({ code: "ERR_IO", message: expect.stringContaining("target is missing") });
  });
});

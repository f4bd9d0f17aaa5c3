/** The lock of a cache folder: who waits, and whose lock is taken over. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ownContent } from "../../../core/lock/holder.js";
import { waitForLock, waitingLockFile } from "../../../core/lock/waiting.js";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fitloop-lock-"));
  path = join(folder, waitingLockFile);
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const lock = (patience?: number): Promise<() => void> =>
  waitForLock(folder, { pollMs: 5, signal: patience === undefined ? undefined : AbortSignal.timeout(patience) });
const files = (): string[] => readdirSync(folder);
const content = (): Record<string, unknown> => JSON.parse(readFileSync(path, "utf8"));
/** Expects that nobody gets the lock, and that its file stays as it is. */
async function expectHeld(): Promise<void> {
  const before = readFileSync(path, "utf8");
  await expect(lock(200)).rejects.toThrow(/abort|timeout/i);
  expect(files()).toEqual([waitingLockFile]);
  expect(readFileSync(path, "utf8")).toBe(before);
}
/** Leaves a lock that differs from one of this very process. */
function leave(changes: Record<string, unknown>, secondsAgo = 0): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(ownContent()), ...changes }));
  const then = new Date(Date.now() - secondsAgo * 1000);
  utimesSync(path, then, then);
}

describe("a lock", () => {
  it("names this process while it is held", async () => {
    const release = await lock();
    expect(files()).toEqual([waitingLockFile]);
    expect(content()).toMatchObject({ pid: process.pid });
    release();
    expect(files()).toEqual([]);
    (await lock())();
  });

  it("makes a second call wait, says once for whom, and is passed on when it is released", async () => {
    const release = await lock();
    const { since } = content();
    const onWait = vi.fn();
    let got = false;
    const second = waitForLock(folder, { pollMs: 5, onWait }).then((done) => ((got = true), done));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(got).toBe(false);
    expect(onWait.mock.calls).toEqual([[`process ${process.pid} since ${since}`]]);
    release();
    (await second)();
    expect(files()).toEqual([]);
  });

  it("is given up for a signal, also for one from before", async () => {
    await expect(waitForLock(folder, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    const release = await lock();
    await expectHeld();
    release();
  });

  it("is released once: a later call takes nothing from the next holder", async () => {
    const release = await lock();
    release();
    const next = await lock();
    release();
    await expectHeld();
    next();
  });

  it("sends a heartbeat, for those who cannot see the process", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const release = await lock();
    utimesSync(path, 0, 0);
    vi.advanceTimersByTime(5_000);
    expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(10_000);
    rmSync(path);
    vi.advanceTimersByTime(5_000); // a heartbeat that fails is no error
    release();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a dead process's lock", () => {
  it("is taken over", async () => {
    const child = spawn("/bin/sh", ["-c", "exit 0"]);
    await new Promise((resolve) => child.on("exit", resolve));
    leave({ pid: child.pid });
    const release = await lock(2_000);
    expect(content()).toMatchObject({ pid: process.pid });
    release();
    expect(files()).toEqual([]);
  });

  it("is taken over although a later process has its number", async () => {
    leave({ processStart: "1" });
    (await lock(2_000))();
    expect(files()).toEqual([]);
  });

  it.each([
    ["of another host", { host: "elsewhere" }],
    ["of another container", { pidNamespace: "1" }],
  ])("%s is taken over once it was silent for a minute", async (_, changes) => {
    leave(changes, 61);
    (await lock(2_000))();
    expect(files()).toEqual([]);
  });

  it("that says nothing, since the disk was full, is taken over after a minute", async () => {
    writeFileSync(path, "");
    await expectHeld();
    utimesSync(path, 0, 0);
    (await lock(2_000))();
  });
});

describe("a living process's lock", () => {
  it("is never taken, however old it looks", async () => {
    const child = spawn("/bin/sleep", ["60"]);
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
      const processStart = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]!;
      leave({ pid: child.pid, processStart }, 1e6);
      await expectHeld();
      child.kill("SIGSTOP");
      await expectHeld();
    } finally {
      child.kill("SIGKILL");
    }
  });

  it.each([
    ["of another host", { host: "elsewhere" }],
    ["of another container", { pid: 2 ** 22 + 1, pidNamespace: "1" }],
  ])("%s, whose processes cannot be seen, holds for a minute after each heartbeat", async (_, changes) => {
    leave(changes, 30);
    await expectHeld();
  });
});

it("lets one process in at a time, whatever the rush", async () => {
  const counter = join(folder, "counter");
  writeFileSync(counter, "0");
  const script = fileURLToPath(new URL("../../support/waiting-process.ts", import.meta.url));
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const rounds = 10;
  const run = (): Promise<number | null> => {
    const child = spawn(process.execPath, ["--import", "tsx", script, folder, counter, String(rounds)], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    return new Promise((resolve) => child.on("exit", resolve));
  };
  expect(await Promise.all([run(), run(), run()])).toEqual([0, 0, 0]);
  expect(readFileSync(counter, "utf8")).toBe(String(3 * rounds));
  expect(files()).toEqual(["counter"]);
});

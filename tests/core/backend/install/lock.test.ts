/** One installer at a time: whose lock holds, whose is taken over. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { acquireLock } from "../../../../core/backend/install/lock.js";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "fitloop-lock-"))));
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const acquire = (patience?: number): Promise<() => Promise<void>> =>
  acquireLock(folder, { pollMs: 5, signal: patience === undefined ? undefined : AbortSignal.timeout(patience) });
const locks = (): string[] => readdirSync(folder);
/** Expects that a lock is not to be had, and that nobody's file is touched. */
async function expectHeld(): Promise<void> {
  const before = locks();
  await expect(acquire(200)).rejects.toThrow(/abort|timeout/i);
  expect(locks()).toEqual(before);
}
/** The parts of this process's own lock file. */
async function own(): Promise<{ pid: string; start: string; host: string }> {
  const release = await acquire();
  const [, pid, start, host] = locks()[0]!.split("-") as [string, string, string, string];
  await release();
  return { pid, start, host };
}
const put = (pid: string | number, start: string, host: string, secondsAgo = 0): void => {
  const path = join(folder, `lock-${pid}-${start}-${host}`);
  writeFileSync(path, "");
  const then = new Date(Date.now() - secondsAgo * 1000);
  utimesSync(path, then, then);
};

describe("a lock", () => {
  it("is a file of this process while it is held", async () => {
    const release = await acquire();
    expect(locks()).toEqual([expect.stringMatching(new RegExp(`^lock-${process.pid}-\\d+-[\\w.]+$`))]);
    await release();
    expect(locks()).toEqual([]);
    await (await acquire())();
  });

  it("keeps a second call waiting, says once for whom, and goes over when it is released", async () => {
    const release = await acquire();
    const onWait = vi.fn();
    let got = false;
    const second = acquireLock(folder, { pollMs: 5, onWait }).then((done) => ((got = true), done));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(got).toBe(false);
    expect(onWait).toHaveBeenCalledTimes(1);
    expect(onWait).toHaveBeenCalledWith(locks()[0]!.slice("lock-".length));
    await release();
    await (await second)();
    expect(locks()).toEqual([]);
  });

  it("is given up for a signal, also one that came before", async () => {
    await expect(acquireLock(folder, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    const release = await acquire();
    await expectHeld();
    await release();
  });

  it("sends a heartbeat, for those who cannot see the process", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const release = await acquire();
    const path = join(folder, locks()[0]!);
    const age = (): number => Date.now() - statSync(path).mtimeMs;
    utimesSync(path, 0, 0);
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(age()).toBeLessThan(10_000), 200_000);
    await release();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a dead process's lock", () => {
  it("is taken over", async () => {
    const { start, host } = await own();
    const child = spawn("/bin/sh", ["-c", "exit 0"]);
    await new Promise((resolve) => child.on("exit", resolve));
    put(child.pid!, start, host);
    const release = await acquire();
    expect(locks()).toEqual([expect.stringContaining(`lock-${process.pid}-`)]);
    await release();
  });

  it("is taken over although a later process has its number", async () => {
    const { pid, start, host } = await own();
    put(pid, String(Number(start) - 1), host);
    await (await acquire())();
    expect(locks()).toEqual([]);
  });

  it("of another host is taken over once it was silent for a minute", async () => {
    put(process.pid, "1", "elsewhere", 61);
    await (await acquire())();
    expect(locks()).toEqual([]);
  });
});

describe("a living process's lock", () => {
  it("is never taken, however old it looks", async () => {
    const { host } = await own();
    const child = spawn("/bin/sleep", ["60"]);
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
      put(child.pid!, stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]!, host, 1e6);
      await expectHeld();
      child.kill("SIGSTOP");
      await expectHeld();
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("of another host or container, whose processes nobody sees, holds for a minute after each heartbeat", async () => {
    const { pid, start, host } = await own();
    put(pid, start, "elsewhere", 30);
    await expectHeld();
    rmSync(join(folder, locks()[0]!));
    // The same host, and process ids of another namespace.
    put(2 ** 22 + 1, start, host.replace(/\d+$/, "1"), 30);
    await expectHeld();
  });
});

it("lets one process in at a time, whatever the rush", async () => {
  const counter = join(folder, "counter");
  writeFileSync(counter, "0");
  const script = fileURLToPath(new URL("../../../support/install-lock-process.ts", import.meta.url));
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
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
  expect(locks()).toEqual(["counter"]);
});

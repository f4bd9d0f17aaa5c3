/** The lock on a run's folder, at length: many processes, one stopped for long, kills at every call. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { lockFile, lockRun } from "../../run/lock.js";
import { buildMember, contend, type Member, stop } from "../support/lock-crew.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-lock-"));
const folder = join(base, "run");
let start: () => Member;
const members: Member[] = [];
beforeAll(async () => {
  const newMember = await buildMember(base);
  start = () => {
    const member = newMember();
    members.push(member);
    return member;
  };
});
beforeEach(() => void mkdirSync(folder));
afterEach(async () => {
  for (const { process } of members) process.kill("SIGKILL");
  await Promise.all(members.splice(0).map(({ ended }) => ended));
  rmSync(folder, { recursive: true });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

it("50 processes have one winner in each of 100 rounds", async () => {
  await contend(Array.from({ length: 50 }, start), folder, 100);
});

it("a holder that is stopped for 30 s keeps the lock from 4 others, and goes on", async () => {
  const holder = start();
  await holder.ask({ lock: folder });
  await stop(holder);
  const others = Array.from({ length: 4 }, start);
  let tries = 0;
  for (const end = performance.now() + 30_000; performance.now() < end; ) {
    const answers = await Promise.all(others.map((each) => each.ask({ lock: folder })));
    for (const { locked, exitCode, message } of answers) {
      expect([locked, exitCode]).toEqual([false, 75]);
      expect(message).toContain(`process ${holder.pid} since`);
      tries++;
    }
  }
  expect(tries).toBeGreaterThan(100);
  expect(JSON.parse(readFileSync(join(folder, lockFile), "utf8")).pid).toBe(holder.pid);
  holder.process.kill("SIGCONT");
  await holder.ask({ release: true });
  expect(await others[0]!.ask({ lock: folder })).toMatchObject({ locked: true });
});

it("a holder that is killed 200 times in a row has each time one successor, at once", async () => {
  let before: number | undefined;
  for (let kill = 0; kill < 200; kill++) {
    const [first, second] = [start(), start()];
    const answers = await Promise.all([first, second].map((each) => each.ask({ lock: folder })));
    expect(answers.filter(({ locked }) => locked)).toHaveLength(1);
    const winner = answers[0]!.locked ? first : second;
    expect(answers.find(({ locked }) => locked)!.abandoned?.pid).toBe(before);
    expect(Math.max(...answers.map(({ milliseconds }) => milliseconds))).toBeLessThan(1000);
    before = winner.pid;
    for (const { process, ended } of [first, second]) {
      process.kill("SIGKILL");
      await ended;
    }
  }
});

/** The call before which a process that takes over has the right to; found by trying. */
let rightCall = 0;
it.each([
  ["nothing", () => {}],
  ["a dead holder", leaveDeadHolder],
  [
    "a process that was killed while it took over",
    async () => {
      leaveDeadHolder();
      for (; ; rightCall++) {
        await expect(start().ask({ lock: folder, killBefore: rightCall })).rejects.toThrow(/did not answer/);
        if (readdirSync(folder).some((name) => name.includes(".after-"))) return;
      }
    },
  ],
])("a process killed before any of its calls, after %s, keeps nobody out", async (_, past) => {
  for (let call = 0; ; call++) {
    await past();
    const member = start();
    const locked = await member.ask({ lock: folder, killBefore: call }).then(
      (answer) => answer.locked,
      () => false,
    );
    if (locked) {
      expect(call).toBeGreaterThan(7);
      return;
    }
    lockRun(folder).release();
    expect(readdirSync(folder)).toEqual([]);
  }
});

function leaveDeadHolder(): void {
  const lock = lockRun(folder);
  const holder = readFileSync(join(folder, lockFile), "utf8");
  lock.release();
  writeFileSync(join(folder, lockFile), JSON.stringify({ ...JSON.parse(holder), processStart: "1" }));
}

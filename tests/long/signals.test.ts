/**
 * R10 and R11: a run that is told to stop at any moment keeps a checkpoint of that very step, leaves with the code of its
 * signal, and goes on to the same bits; and what else a shell does to a process: stopping it, closing what it writes to.
 *
 * SIGNAL_RUNS and SIGNAL_SEED repeat or lengthen it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stream } from "../../core/rng.js";
import { listCheckpoints } from "../../run/checkpoints.js";
import { command, eventsOf, finished, start } from "../support/trainer-process.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-signals-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const runs = Number(process.env.SIGNAL_RUNS ?? 50);
const seed = Number(process.env.SIGNAL_SEED ?? Date.now() % 1e6);
const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

let whole: string;
let milliseconds: number;
let lines: number;
beforeAll(async () => {
  const since = performance.now();
  const ended = await start(command(join(base, "whole"))).ended;
  expect(ended).toMatchObject({ code: 0 });
  milliseconds = performance.now() - since;
  lines = eventsOf(ended).length;
  whole = finished(join(base, "whole"));
});

it(
  `${runs} runs told to stop at any moment go on to the same bits (SIGNAL_SEED=${seed})`,
  async () => {
    const taken: number[] = [];
    let kept = 0;
    for (let number = 0; number < runs; number++) {
      const random = stream(seed, "signals", number);
      const signal = (["SIGINT", "SIGTERM", "SIGHUP"] as const)[random.int(3)]!;
      const out = join(base, `stopped-${number}`);
      // Half at any time, data and backend still loading; half after some event: a step, an evaluation, a checkpoint.
      const anyTime = random.chance(0.5);
      const at = anyTime ? random.uniform() * milliseconds : 1 + Math.floor(random.uniform() * (lines - 1));
      let sent: number | undefined;
      const send = (): void => {
        sent = performance.now();
        going.kill(signal);
      };
      // Its interval of checkpoints is never reached: the one there is, is the one kept for the signal or an epoch.
      const words = command(out, "--checkpoint-every", "1000");
      const going = start(words, { onLine: (_, count) => void (!anyTime && count === at && send()) });
      const timer = anyTime ? setTimeout(send, at) : undefined;
      const ended = await going.ended;
      clearTimeout(timer);
      const where = JSON.stringify({ number, sent: signal, anyTime, at, ...ended });
      // Node itself needs a moment before it has handlers; and the last lines come when there is nothing left to stop.
      const early = ended.signal === signal && ended.stdout === "";
      const late = ended.code === 0;
      if (!early && !late) expect(ended.code, where).toBe(codes[signal]);
      if (sent !== undefined && !late) taken.push(performance.now() - sent);
      if (ended.stderr.includes("stopping after this step")) {
        const steps = eventsOf(ended).filter(({ event }) => event === "step");
        const [newest] = listCheckpoints(join(out, "checkpoints")).slice(-1);
        expect(newest?.step ?? 0, where).toBe(Number(steps.at(-1)?.step ?? 0));
        kept++;
      }
      expect(existsSync(join(out, "run.lock")), where).toBe(early && existsSync(join(out, "run.lock")));
      const rest = await start(command(out)).ended;
      expect({ ...rest, where }).toMatchObject({ code: 0 });
      expect(finished(out), where).toBe(whole);
      rmSync(out, { recursive: true });
    }
    taken.sort((a, b) => a - b);
    const milli = (share: number): string => `${taken[Math.floor(share * (taken.length - 1))]!.toFixed(0)} ms`;
    console.log(`${taken.length} stopped, ${kept} with a checkpoint; median ${milli(0.5)}, p95 ${milli(0.95)}`);
    expect(kept).toBeGreaterThan(runs / 5);
  },
  runs * 60_000,
);

it("a burst of twenty signals leaves at once, and what lies there goes on", async () => {
  const out = join(base, "burst");
  const burst = (): void => {
    for (let count = 0; count < 20; count++) going.kill(count % 2 === 0 ? "SIGINT" : "SIGTERM");
  };
  const going = start(command(out), { onLine: (_, count) => void (count === 12 && burst()) });
  expect([130, 143]).toContain((await going.ended).code);
  expect(existsSync(join(out, "run.lock"))).toBe(false);
  expect((await start(command(out)).ended).code).toBe(0);
  expect(finished(out)).toBe(whole);
});

describe("what a shell does", () => {
  /** As Linux says: T is a process that is stopped. */
  const stateOf = (pid: number): string => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))![1]!;

  it("stopped, a run keeps its lock; continued, it goes on", async () => {
    const out = join(base, "paused");
    const going = start(command(out), { onLine: (_, count) => void (count === 8 && going.kill("SIGSTOP")) });
    await going.lines(8);
    while (stateOf(going.child.pid!) !== "T") await new Promise(setImmediate);
    const other = await start(command(out)).ended;
    expect(other.code).toBe(75);
    expect(other.stderr).toContain(`process ${going.child.pid}`);
    going.kill("SIGCONT");
    expect(await going.ended).toMatchObject({ code: 0 });
    expect(finished(out)).toBe(whole);
  });

  it("closes the terminal: the run is kept, and goes on", async () => {
    const out = join(base, "closed-terminal");
    // script(1) is the terminal's other end: without it the terminal hangs up, and all that is written to it fails.
    const words = command(out)
      .map((word) => `'${word}'`)
      .join(" ");
    const going = start(["script", "-qec", `exec ${words}`, "/dev/null"], {
      onLine: (_, count) => void (count === 12 && going.kill("SIGKILL")),
    });
    await going.ended;
    while (existsSync(join(out, "run.lock"))) await new Promise(setImmediate);
    const { stopReason, steps } = JSON.parse(readFileSync(join(out, "summary.json"), "utf8")) as Record<
      string,
      unknown
    >;
    expect(stopReason).toBe("interrupted (SIGHUP)");
    expect(listCheckpoints(join(out, "checkpoints")).at(-1)?.step).toBe(steps);
    expect((await start(command(out)).ended).code).toBe(0);
    expect(finished(out)).toBe(whole);
  });

  it.each([
    ["nobody reads what it writes", '"$@" | head -n 1'],
    ["its output is closed", '"$@" >&- 2>&-'],
    ["it has no input and no terminal", 'setsid -w "$@" <&- >/dev/null 2>&1'],
    ["the terminal has no width", 'COLUMNS=0 LINES=0 "$@" >/dev/null 2>&1'],
  ])("%s: it trains to its end", async (name, line) => {
    const out = join(base, name.replaceAll(" ", "-"));
    await start(["bash", "-c", `set -m; ${line}; wait`, "bash", ...command(out)]).ended;
    expect(finished(out)).toBe(whole);
  });
});

/**
 * R3: killed at any moment, any number of times, and started again by the same command until it ends: the weights of a
 * run that nobody disturbed, every step in the metrics and in the log once, and nothing left over. R12: the same where memory ends.
 *
 * KILL_RUNS and KILL_SEED repeat or lengthen it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stream } from "../../core/rng.js";
import { readVisualDl } from "../plugins/visual-log/read.js";
import { command, type Ended, eventsOf, finished, start } from "../support/trainer-process.js";

/** How often the report draws worst images depends on time. */
const lasting = (log: readonly string[]): string[] => log.filter((line) => !line.startsWith("worst, validation"));

const base = mkdtempSync(join(tmpdir(), "fitloop-killed-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const runs = Number(process.env.KILL_RUNS ?? 100);
const seed = Number(process.env.KILL_SEED ?? Date.now() % 1e6);

/** The same run on wasm, and with more plugins, AdamW and bfloat16 on TensorFlow. */
const kinds = [
  { name: "on wasm", count: runs, more: [], env: {} },
  {
    name: "with everything composed, in bfloat16",
    count: Math.ceil(runs / 10),
    more: ["--backend", "tensorflow"],
    env: { EVERYTHING: "yes" },
  },
];

/**
 * What the run's VisualDL log has: each tag and step. Within a step weights may come in another order, and of an epoch
 * whose last micro-batch was done before the kill nobody has seen an augmented image any more.
 */
const loggedIn = (folder: string): string[] =>
  readVisualDl(folder)
    .filter(({ tag }) => tag !== "augmented")
    .map(({ tag, step }) => `${tag} ${step}`)
    .sort();

const steppedTo = (ended: Ended, event: string): number =>
  Math.max(0, ...eventsOf(ended).flatMap((each) => (each.event === event ? [Number(each.step)] : [])));

it.each(kinds)(
  `runs killed one to five times each end like one that was not, $name: $count runs (KILL_SEED=${seed})`,
  async ({ name, count, more, env }) => {
    const since = performance.now();
    const reference = join(base, `whole ${name}`);
    const undisturbed = await start(command(reference, ...more), { env }).ended;
    expect(undisturbed).toMatchObject({ code: 0 });
    const milliseconds = performance.now() - since;
    const lines = eventsOf(undisturbed).length;
    const whole = finished(reference);
    const logged = loggedIn(reference);
    expect(new Set(logged).size).toBe(logged.length);

    let kills = 0;
    const one = async (number: number): Promise<void> => {
      const random = stream(seed, "kills", number);
      const out = join(base, `killed-${number} ${name}`);
      let left = 1 + Math.floor(5 * random.uniform());
      let saved = 0; // the last checkpoint that was said to be safe
      for (;;) {
        // Half of the kills come at any time, from the first moment on; the other half while a checkpoint is written:
        // a step's line goes out, and its checkpoint is next.
        const anyTime = random.uniform() < 0.5;
        const at = anyTime ? random.uniform() * milliseconds : 1 + Math.floor(random.uniform() * lines);
        const going = start(command(out, ...more), {
          env,
          onLine: (line, count) =>
            void (left > 0 && !anyTime && count >= at && line.includes('"step"') && going.kill("SIGKILL")),
        });
        const timer = left > 0 && anyTime ? setTimeout(() => going.kill("SIGKILL"), at) : undefined;
        const ended = await going.ended;
        clearTimeout(timer);
        const from = eventsOf(ended).find(({ event }) => event === "fit:resume");
        if (from) expect(Number(from.step)).toBeGreaterThanOrEqual(saved);
        saved = Math.max(saved, steppedTo(ended, "checkpoint:saved"));
        if (ended.signal === null) {
          expect({ ...ended, number }).toMatchObject({ code: 0 });
          break;
        }
        left--;
        kills++;
      }
      expect(finished(out), `run ${number}`).toBe(whole);
      expect(lasting(loggedIn(out)), `log of run ${number}`).toEqual(lasting(logged));
      rmSync(out, { recursive: true });
    };
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) await one(next++);
    };
    await Promise.all([worker(), worker()]);
    console.log(`${name}: ${count} runs, ${kills} kills, KILL_SEED=${seed}`);
    expect(kills).toBeGreaterThanOrEqual(count);
  },
  runs * 60_000,
);

it("killed for memory, the next start reports that the run before was killed, and resumes", async () => {
  const out = join(base, "hungry");
  const undisturbed = join(base, "sated");
  const hungry = await start(command(out), { env: { APPETITE: "hungry", NODE_OPTIONS: "--max-old-space-size=400" } })
    .ended;
  expect(hungry.stderr).toContain("JavaScript heap out of memory");
  expect([hungry.code, hungry.signal]).not.toEqual([0, null]);
  const next = await start(command(out), { env: { APPETITE: "sated" } }).ended;
  expect(next).toMatchObject({ code: 0 });
  const events = eventsOf(next);
  expect(events).toContainEqual({
    event: "warning",
    message: expect.stringMatching(/^The previous run in this folder \(process \d+, since .*\) was killed\.$/),
  });
  expect(events).toContainEqual(expect.objectContaining({ event: "fit:resume", step: 7 }));
  expect((await start(command(undisturbed), { env: { APPETITE: "sated" } }).ended).code).toBe(0);
  expect(finished(out)).toBe(finished(undisturbed));
});

/** R16: a clock that jumps, stands or is wrong changes no bit, no order and no sign. Takes faketime. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMetrics } from "../../run/metrics.js";
import { command, type Ended, eventsOf, finished, start } from "../support/trainer-process.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-clock-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let whole: string;
beforeAll(async () => {
  expect(await start(command(join(base, "whole"))).ended).toMatchObject({ code: 0 });
  whole = finished(join(base, "whole"));
});

/** Node reads the clock through a cache of faketime's unless it is told not to, and its timers need the true one. */
const common = { FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" };

function mustBeSound(ended: Ended, out: string): void {
  expect(ended).toMatchObject({ code: 0 });
  expect(finished(out)).toBe(whole);
  const { lines } = readMetrics(join(out, "metrics.jsonl"));
  for (const each of [...eventsOf(ended), ...lines] as Record<string, unknown>[]) {
    for (const key of ["seconds", "imagesPerSecond"]) {
      if (key in each) expect(Number(each[key]), JSON.stringify(each)).toBeGreaterThanOrEqual(0);
    }
  }
}

it.each([
  ["in 1970", "@1970-01-02 00:00:00"],
  ["beyond 2038", "@2045-05-05 05:05:05"],
  ["that stands still", "2026-03-29 01:59:59"],
  ["that runs ten times as fast", "+0 x10"],
])("a clock %s", async (name, time) => {
  const out = join(base, name.replaceAll(" ", "-"));
  const ended = await start(["faketime", "-f", time, ...command(out)], { env: common }).ended;
  mustBeSound(ended, out);
});

it.each([
  ["an hour back", "-3600"],
  ["four hundred days on", "+400d"],
  ["over a change of summer time", "@2026-10-25 02:59:58"],
])("a clock that jumps %s while the run lasts", async (name, jump) => {
  const out = join(base, name.replaceAll(" ", "-"));
  const file = join(base, `${name}.time`);
  writeFileSync(file, "+0\n");
  const seen = new Set<string>();
  const going = start(["faketime", "-f", "+0", ...command(out)], {
    env: { ...common, FAKETIME_TIMESTAMP_FILE: file, TZ: "Europe/Berlin" },
    onLine: (_, count) => void (count === 10 && (writeFileSync(file, `${jump}\n`), seen.add("jumped"))),
  });
  mustBeSound(await going.ended, out);
  expect([...seen]).toEqual(["jumped"]);
});

it("a run begun in the future is gone on with in the past: the newest checkpoint is the one of the latest step", async () => {
  const out = join(base, "back");
  const first = start(["faketime", "-f", "+400d", ...command(out)], { env: common });
  await first.lines(14);
  first.kill("SIGKILL");
  await first.ended;
  const ended = await start(["faketime", "-f", "@1970-01-02 00:00:00", ...command(out)], { env: common }).ended;
  expect(eventsOf(ended)).toContainEqual(expect.objectContaining({ event: "fit:resume" }));
  mustBeSound(ended, out);
});

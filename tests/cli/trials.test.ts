/** A trial of `sweep` and `ablate` that is interrupted: the same command resumes it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Emitter } from "mitt";
import { afterAll, expect, it } from "vitest";
import type { Interrupt } from "../../cli/interrupt.js";
import { runTrial, validationAt } from "../../cli/trials.js";
import type { Events } from "../../core/loop/events.js";
import { microConfig } from "../../core/testing/index.js";

const out = mkdtempSync(join(tmpdir(), "fitloop-trials-"));
afterAll(() => rmSync(out, { recursive: true, force: true }));

/** Ends with SIGINT where `watch` says so. */
function interrupt(watch: (events: Emitter<Events>, now: () => void) => void = () => {}): Interrupt {
  const stop = new AbortController();
  return {
    signal: stop.signal,
    get exitCode() {
      return stop.signal.aborted ? 130 : undefined;
    },
    watch: (events) => watch(events, () => stop.abort("SIGINT")),
    throwUncaught() {},
    stop() {},
  };
}

it.each([
  ["in the middle of the last epoch of a round", 3],
  ["in the last step of the last epoch of a round", 4],
])("is not taken for done, stopped %s", async (name, at) => {
  const trial = { name, config: microConfig() };
  const options = { out, quiet: true, untilEpoch: 2 };
  const ends = interrupt((events, now) => events.on("step", ({ step }) => step === at && now()));
  expect(await runTrial(trial, { ...options, ends })).toBeUndefined();

  const paused = await runTrial(trial, { ...options, ends: interrupt() });
  expect(validationAt(paused!, 2)).toBeGreaterThanOrEqual(0);
  let trained = false;
  const watching = interrupt((events) => events.on("step", () => (trained = true)));
  expect(validationAt((await runTrial(trial, { ...options, ends: watching }))!, 2)).toBe(validationAt(paused!, 2));
  expect(trained).toBe(false);
});

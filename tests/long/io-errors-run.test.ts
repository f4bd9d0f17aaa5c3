/**
 * R9: in a whole run each write, flush and rename fails once: the run ends with one message that names the path, or
 * goes on where it does not matter; what is there is whole, and going on gives the bits of a run without a fault.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { system } from "../../core/files.js";
import { listCheckpoints, readCheckpoint } from "../../run/checkpoints.js";
import { readMetrics } from "../../run/metrics.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const config = join(import.meta.dirname, "..", "support", "micro.config.ts");
const real = { ...system };
afterEach(() => void Object.assign(system, real));

const fit = (out: string): Promise<Ran> =>
  trainer("--config", config, "--out", out, "--epochs", "2", "--checkpoint-every", "3", "--resume");
const hashOf = (run: string): string =>
  createHash("sha256")
    .update(fs.readFileSync(join(run, "weights.safetensors")))
    .digest("hex");
const stepsOf = (run: string): unknown[] => {
  const { lines, problem } = readMetrics(join(run, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  return lines.flatMap(({ event, step, loss }) => (event === "step" ? [[step, loss]] : []));
};

const codes = ["ENOSPC", "EIO", "EDQUOT"] as const;
type Call = "writeSync" | "fsyncSync" | "renameSync";

/** Makes the n-th such call fail; answers how many there were. */
function fail(call: Call, nth: number, code: string): () => number {
  let met = 0;
  system[call] = ((...args: never[]) => {
    if (++met === nth) throw Object.assign(new Error(`${code}: it would not, ${call.replace("Sync", "")}`), { code });
    return (real[call] as (...args: never[]) => unknown)(...args);
  }) as never;
  return () => met;
}

it.each(["writeSync", "fsyncSync", "renameSync"] as const)("%s", async (call) => {
  const whole = join(base, `whole-${call}`);
  const counted = fail(call, 0, "");
  expect((await fit(whole)).code).toBe(0);
  const calls = counted();
  expect(calls).toBeGreaterThan(5);
  for (let nth = 1; nth <= calls; nth++) {
    const code = codes[nth % 3]!;
    const where = `${call} ${nth} of ${calls}: ${code}`;
    const run = join(base, `${call}-${nth}`);
    fail(call, nth, code);
    const first = await fit(run);
    Object.assign(system, real);
    // The report only watches: without it the run goes on, and says so.
    const watching = first.stderr.split("\n").filter((line) => line.includes("It is switched off."));
    const fatal = first.stderr.split("\n").filter((line) => line.startsWith("trainer: "));
    expect([0, 73, 74], where).toContain(first.code);
    expect([watching.length, fatal.length], where).toEqual(first.code === 0 ? [1, 0] : [0, 1]);
    const said = [...watching, ...fatal];
    expect(said[0], where).toContain(run);
    expect(said[0], where).toMatch(/the disk is full|the quota on the disk is used up|it would not/);
    for (const { path } of listCheckpoints(join(run, "checkpoints"))) readCheckpoint(path);

    expect(await fit(run), where).toMatchObject({ code: 0 });
    expect(hashOf(run), where).toBe(hashOf(whole));
    expect(stepsOf(run), where).toEqual(stepsOf(whole));
    fs.rmSync(run, { recursive: true });
  }
});

it("writes that take half of what they are given give the same files", async () => {
  const [whole, halved] = [join(base, "whole"), join(base, "halved")];
  expect((await fit(whole)).code).toBe(0);
  system.writeSync = ((file: number, bytes: Uint8Array, offset: number, length: number) =>
    real.writeSync(file, bytes, offset, Math.ceil(length / 2))) as typeof system.writeSync;
  expect((await fit(halved)).code).toBe(0);
  expect(hashOf(halved)).toBe(hashOf(whole));
  expect(stepsOf(halved)).toEqual(stepsOf(whole));
});

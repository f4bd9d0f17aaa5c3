/**
 * R8: a whole run on a disk that has room for some part of it: it ends with one message, what it kept is whole, and once
 * there is room it goes on to the bits of a run that never lacked any.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { listCheckpoints, readCheckpoint } from "../../run/checkpoints.js";
import { readMetrics } from "../../run/metrics.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const disk = join(base, "disk");
const config = join(import.meta.dirname, "..", "support", "micro.config.ts");
const fit = (out: string): Promise<Ran> =>
  trainer("--config", config, "--out", out, "--epochs", "3", "--checkpoint-every", "2", "--resume");
const hashOf = (run: string): string =>
  createHash("sha256")
    .update(fs.readFileSync(join(run, "weights.safetensors")))
    .digest("hex");
const stepsOf = (run: string): unknown[] => {
  const { lines, problem } = readMetrics(join(run, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  return lines.flatMap(({ event, step, loss }) => (event === "step" ? [[step, loss]] : []));
};
const free = (): number => {
  const { bavail, bsize } = fs.statfsSync(disk);
  return bavail * bsize;
};

const whole = join(base, "whole");
let need = 0;
beforeAll(async () => {
  fs.mkdirSync(disk);
  // Needs root, and fails without: a test that skips itself proves nothing.
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", disk]);
  expect((await fit(whole)).code).toBe(0);
  const before = free();
  fs.cpSync(whole, join(disk, "run"), { recursive: true });
  need = before - free();
});
afterAll(() => {
  spawnSync("umount", [disk]);
});
beforeEach(() => {
  for (const name of fs.readdirSync(disk)) fs.rmSync(join(disk, name), { recursive: true });
});

it.each(Array.from({ length: 20 }, (_, twentieth) => [5 * twentieth]))(
  "with room for %i percent of what it keeps",
  async (percent) => {
    const run = join(disk, "run");
    const filler = join(disk, "filler");
    fs.writeFileSync(filler, new Uint8Array(free() - Math.floor((need * percent) / 100)));
    const first = await fit(run);
    expect([73, 74]).toContain(first.code);
    const said = first.stderr.split("\n").filter((line) => line.startsWith("trainer: "));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(run);
    expect(said[0]).toMatch(/the disk is full|ENOSPC/);
    if (said[0]!.includes("Saving the checkpoint")) expect(said[0]).toMatch(/It needed \d+ bytes, and \d+ are free\./);
    expect(first.stderr).not.toMatch(/unexpected|^\s+at /m);
    for (const { path } of listCheckpoints(join(run, "checkpoints"))) readCheckpoint(path);
    expect(fs.existsSync(join(run, "run.lock")), "the lock is gone").toBe(false);

    fs.rmSync(filler);
    const second = await fit(run);
    expect(second).toMatchObject({ code: 0 });
    expect(hashOf(run)).toBe(hashOf(whole));
    expect(stepsOf(run)).toEqual(stepsOf(whole));
    expect(fs.readdirSync(join(run, "checkpoints")).filter((name) => name.startsWith("."))).toEqual([]);
  },
);

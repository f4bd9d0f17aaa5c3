/**
 * A run whose folder is moved, replaced or given away while it trains ends with 75 and touches nothing more; one that never
 * got its folder leaves none.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { system } from "../../core/files.js";
import type { Plugin, TrainerConfig } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import { ema, gradCam, visualLog } from "../../plugins/index.js";
import { createReport } from "../../report/observer.js";
import { lockFile, lockRun, type RunLock } from "../../run/lock.js";
import { train } from "../../run/train.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-lost-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

/** File -> a hash of its content. */
const contents = (folder: string): Map<string, string> =>
  new Map(
    fs
      .readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => fs.statSync(join(folder, name)).isFile())
      .map((name) => [
        name,
        createHash("sha256")
          .update(fs.readFileSync(join(folder, name)))
          .digest("hex"),
      ]),
  );

const config = (): TrainerConfig => microConfig({ epochs: 4, plugins: [ema(), visualLog({ every: 1 }), gradCam()] });

/** Trains, and does something to the folder in the middle of the second epoch. What it leaves must stay as it is. */
async function disturb(name: string, act: (folder: string) => void): Promise<{ folder: string; warnings: string[] }> {
  const folder = join(base, name);
  let left = new Map<string, string>();
  const disturber: Plugin = {
    name: "disturber",
    options: {},
    apply: ({ hooks }) =>
      hooks.beforeBatch.tap((batch, { epoch, step }) => {
        if (epoch === 1 && step % 2 === 1 && left.size === 0) {
          act(folder);
          left = contents(folder);
        }
        return batch;
      }),
  };
  const warnings: string[] = [];
  const training = train(config(), {
    folder,
    checkpointEvery: 1,
    observers: [disturber, createReport()],
    watch: (events) => events.on("warning", ({ message }) => warnings.push(message)),
  });
  await expect(training).rejects.toMatchObject({
    code: "ERR_LOCKED",
    exitCode: 75,
    message: expect.stringContaining(`The run lost its folder ${folder}: `) as string,
  });
  expect(left.size).toBeGreaterThan(0);
  expect([...contents(folder)]).toEqual([...left]);
  return { folder, warnings };
}

it("another run's folder in its place stays as it is", async () => {
  const other = join(base, "other");
  (await train(config(), { folder: other, observers: [createReport()] })).dispose();
  const { folder } = await disturb("replaced", (folder) => {
    fs.renameSync(folder, `${folder}-moved`);
    fs.cpSync(other, folder, { recursive: true });
  });
  expect(fs.existsSync(join(`${folder}-moved`, "summary.json"))).toBe(false);
  // In its new place the run resumes. Its lock names this very process, which lives, so it goes first.
  fs.rmSync(join(`${folder}-moved`, lockFile));
  (await train(config(), { folder: `${folder}-moved`, resume: true })).dispose();
});

it("a copy of its folder in its place stays as it is, the lock included", async () => {
  await disturb("copied", (folder) => {
    fs.renameSync(folder, `${folder}-moved`);
    fs.cpSync(`${folder}-moved`, folder, { recursive: true });
  });
});

it("a folder whose lock was removed and taken by another stays as it is", async () => {
  let other: RunLock | undefined;
  await disturb("given", (folder) => {
    fs.rmSync(join(folder, lockFile));
    other = lockRun(folder);
  });
  other!.release();
});

it("a folder that is gone is not made again", async () => {
  const folder = join(base, "gone");
  const remover: Plugin = {
    name: "remover",
    options: {},
    apply: ({ hooks }) =>
      hooks.beforeBatch.tap((batch, { step }) => {
        if (step === 3) fs.rmSync(folder, { recursive: true, force: true });
        return batch;
      }),
  };
  await expect(train(config(), { folder, observers: [remover, createReport()] })).rejects.toMatchObject({
    exitCode: 75,
    message: expect.stringContaining("the folder was moved or removed") as string,
  });
  expect(fs.existsSync(folder)).toBe(false);
});

it("a folder that cannot be locked leaves nothing behind", async () => {
  const out = join(base, "unlocked");
  const full = vi.spyOn(system, "writeSync").mockImplementation(() => {
    throw Object.assign(new Error("ENOSPC: it would not"), { code: "ENOSPC" });
  });
  await expect(train(config(), { folder: join(out, "run") })).rejects.toMatchObject({
    code: "ERR_IO",
    message: expect.stringContaining("Locking") as string,
  });
  full.mockRestore();
  expect(fs.existsSync(out)).toBe(false);
});

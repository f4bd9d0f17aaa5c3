/** A full disk: a small file system in memory, filled to leave some part of what a checkpoint needs. */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { TrainerError } from "../../core/errors.js";
import { type Checkpoint, newestCheckpoint, saveCheckpoint } from "../../run/checkpoints.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-full-"));
const disk = join(base, "disk");
beforeAll(() => {
  fs.mkdirSync(disk);
  // Needs root, and fails without: a test that skips itself proves nothing.
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=5m", "tmpfs", disk]);
});
afterAll(() => {
  spawnSync("umount", [disk]);
  fs.rmSync(base, { recursive: true, force: true });
});

const numbers = 2 ** 18; // a MiB
const [old, next] = [sampleCheckpoint(1, { numbers }), sampleCheckpoint(2, { numbers })];
let folder: string;
let count = 0;
beforeEach(() => {
  for (const name of fs.readdirSync(disk)) fs.rmSync(join(disk, name), { recursive: true });
  const run = join(disk, String(count++));
  fs.mkdirSync(run);
  folder = join(run, "checkpoints");
});
const free = (): number => {
  const { bavail, bsize } = fs.statfsSync(disk);
  return bavail * bsize;
};

it.each(Array.from({ length: 20 }, (_, twentieth) => [5 * twentieth]))(
  "with room for %i percent keeps the old checkpoint, says what it lacks, and goes on once there is room",
  (percent) => {
    const { bytes } = saveCheckpoint(folder, old);
    const filler = join(disk, "filler");
    fs.writeFileSync(filler, new Uint8Array(free() - Math.floor((bytes * percent) / 100)));
    const left = free();
    expect(left).toBeLessThan(bytes);

    for (let attempt = 0; attempt < 3; attempt++) {
      const error = failure(() => saveCheckpoint(folder, next));
      expect(error).toMatchObject({ code: "ERR_IO", exitCode: 74 });
      expect(error.message).toBe(
        `Saving the checkpoint ${join(folder, "step-00000002")} failed: the disk is full. ` +
          `It needed ${bytes} bytes, and ${left} are free. Make room or choose another folder with --out.`,
      );
      expect(free()).toBe(left);
      expect(fs.readdirSync(folder)).toEqual(["step-00000001"]);
      mustFind(old);
    }

    fs.rmSync(filler);
    saveCheckpoint(folder, next);
    mustFind(next);
  },
);

it("where files may not be so large, keeps the old checkpoint and says so", async () => {
  saveCheckpoint(folder, old);
  const writer = join(base, "writer.mjs");
  const entryPoints = [join(import.meta.dirname, "..", "support", "checkpoint-writer.ts")];
  await build({
    entryPoints,
    outfile: writer,
    bundle: true,
    platform: "node",
    format: "esm",
  });
  const limited = `ulimit -f 512 && exec "$0" "$@"`; // 512 KiB
  const { status, stderr } = spawnSync("bash", ["-c", limited, process.execPath, writer, folder, String(numbers)], {
    input: "g",
    encoding: "utf8",
  });
  expect(stderr).toMatch(/step-00000003 failed: the file is larger than this process may write\. It needed \d+ bytes/);
  expect(status).toBe(74);
  expect(fs.readdirSync(folder)).toEqual(["step-00000001"]);
  mustFind(old);
});

/** Compared by Node: for a million numbers vitest takes a second. */
function mustFind(checkpoint: Checkpoint): void {
  expect(isDeepStrictEqual(newestCheckpoint(folder), { checkpoint, skipped: [] })).toBe(true);
}

function failure(act: () => unknown): TrainerError {
  try {
    act();
  } catch (error) {
    return error as TrainerError;
  }
  throw new Error("It did not fail.");
}

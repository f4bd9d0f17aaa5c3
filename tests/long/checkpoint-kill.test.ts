/**
 * A process that is killed at each system call of a save, or for which each fails, with the real kernel:
 * strace is attached once the process is ready, and hits its n-th call from then on.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listCheckpoints, newestCheckpoint, readCheckpoint, saveCheckpoint } from "../../run/checkpoints.js";
import { pruneCheckpoints, removeLeftovers } from "../../run/retention.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-kill-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));
const writer = join(base, "writer.mjs");
beforeAll(async () => {
  const entryPoints = [join(import.meta.dirname, "..", "support", "checkpoint-writer.ts")];
  await build({
    entryPoints,
    outfile: writer,
    bundle: true,
    platform: "node",
    format: "esm",
  });
});

const [first, second, third] = [1, 2, 3].map((step) => sampleCheckpoint(step));
let count = 0;

/** A run with steps 1 and 2. */
function prepare(): string {
  const folder = join(base, String(count++), "checkpoints");
  fs.mkdirSync(join(folder, ".."));
  saveCheckpoint(folder, first!);
  saveCheckpoint(folder, second!);
  return folder;
}

/** How the writer ends when its n-th such call is injected with `what`. */
async function writeUnder(folder: string, call: string, what: string, nth: number) {
  const child = spawn(process.execPath, [writer, folder, "6"]);
  const ended = ending(child);
  await said(child, child.stdout, "ready");
  const inject = `inject=${call}:${what}:when=${nth}`;
  const strace = spawn("strace", ["-o", "/dev/null", "-e", `trace=${call}`, "-e", inject, "-p", String(child.pid)]);
  const detached = ending(strace);
  await said(strace, strace.stderr, "attached");
  child.stdin.end("g");
  const result = await ended;
  await detached;
  return result;
}

interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  errors: string;
}

function ending(child: ChildProcessWithoutNullStreams): Promise<Ending> {
  let errors = "";
  child.stderr.on("data", (text) => (errors += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, errors }));
  });
}

/** Waits for a word; a process that ends without it fails the test, and so does a missing strace. */
function said(child: ChildProcessWithoutNullStreams, stream: NodeJS.ReadableStream, word: string): Promise<void> {
  let text = "";
  return new Promise((resolve, reject) => {
    stream.on("data", (chunk) => {
      text += chunk;
      if (text.includes(word)) resolve();
    });
    child.on("error", reject);
    child.on("close", () => reject(new Error(`${child.spawnfile} ended without "${word}": ${text}`)));
  });
}

/** What must hold whenever a writer has died, and that the next one brings all to its end. */
function recover(folder: string): void {
  for (const { path } of listCheckpoints(folder)) readCheckpoint(path);
  const { checkpoint, skipped } = newestCheckpoint(folder);
  expect(skipped).toEqual([]);
  expect([second, third]).toContainEqual(checkpoint);
  removeLeftovers(folder);
  saveCheckpoint(folder, third!);
  pruneCheckpoints(folder, { keep: 2 });
  expect(fs.readdirSync(folder)).toEqual(["step-00000002", "step-00000003"]);
  expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: third, skipped: [] });
}

const arm = process.arch === "arm64";
const rename = arm ? "renameat" : "rename";
const mkdir = arm ? "mkdirat" : "mkdir";
/** Node removes folders by one or the other, after its version. */
const unlinking = arm ? ["unlinkat"] : ["unlink", "rmdir", "unlinkat"];

/** How often the writer makes these calls before it has done its work. */
const times = {
  write: 3, // one a file
  fsync: 7, // the run's folder, three files, the temporary folder, `checkpoints` after the renames of both
  [rename]: 2,
};

describe("a writer that is killed", () => {
  it("at any system call leaves complete checkpoints, and the next start goes on", async () => {
    const kills: Record<string, number> = {};
    for (const call of [...Object.keys(times), "openat", "close", mkdir, ...unlinking]) {
      for (let nth = 1; ; nth++) {
        const folder = prepare();
        const { code, signal, errors } = await writeUnder(folder, call, "signal=KILL", nth);
        recover(folder);
        if (code === 0) break;
        expect({ signal, errors }).toEqual({ signal: "SIGKILL", errors: "" });
        kills[call] = nth;
      }
    }
    const { write, ...others } = times;
    expect(kills).toMatchObject({ ...others, [mkdir]: 2 });
    expect(kills.write).toBeGreaterThanOrEqual(write); // Node writes to itself when it ends
    expect(unlinking.reduce((sum, call) => sum + (kills[call] ?? 0), 0)).toBeGreaterThanOrEqual(4);
    expect(Object.values(kills).reduce((sum, count) => sum + count)).toBeGreaterThan(40);
  });
});

describe("a writer whose call fails", () => {
  it.each(["ENOSPC", "EIO", "EDQUOT"])("with %s ends with one message and code 74", async (code) => {
    for (const [call, most] of Object.entries(times)) {
      for (let nth = 1; nth <= most; nth++) {
        const folder = prepare();
        const end = await writeUnder(folder, call, `error=${code}`, nth);
        expect({ call, nth, ...end }).toMatchObject({ code: 74, signal: null });
        expect(end.errors).toMatch(/^(Saving the checkpoint|Removing old checkpoints in) .* failed: .*--out\.$/);
        expect(end.errors).toContain(folder);
        recover(folder);
      }
    }
  });
});

/** R1 in processes: whatever surrounds them, the same command gives the same bits on each backend. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { command, finished, start } from "../support/trainer-process.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-repeated-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const surroundings: [string, NodeJS.ProcessEnv, string[], string[]][] = [
  ["plain", {}, [], []],
  ["elsewhere", { TZ: "Asia/Kathmandu", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" }, [], ["env", "-C", "/"]],
  ["one thread for files", { UV_THREADPOOL_SIZE: "1" }, ["--checkpoint-every", "5"], []],
  ["eight threads for files", { UV_THREADPOOL_SIZE: "8" }, [], ["nice", "-n", "10"]],
  ["a little memory, another name", { NODE_OPTIONS: "--max-old-space-size=300", HOME: base }, ["--quiet"], []],
  ["one core", { NODE_ENV: "production" }, [], ["taskset", "-c", "0"]],
];

it.each(["wasm", "tensorflow"])("processes of six kinds give the same bits on %s", async (backend) => {
  const hashes = new Map<string, string>();
  for (const [name, env, words, before] of surroundings) {
    if (backend === "tensorflow" && "HOME" in env) continue; // its library lies in the home's cache
    if (backend === "tensorflow" && before[0] === "taskset") continue; // threads follow the cores, and bits the threads
    const out = join(base, `${backend}-${name}`);
    mkdirSync(out);
    const ended = await start([...before, ...command(out, "--backend", backend, ...words)], { env }).ended;
    expect({ name, ...ended }).toMatchObject({ code: 0 });
    hashes.set(name, finished(out));
  }
  expect(hashes.size).toBeGreaterThanOrEqual(4);
  expect([...new Set(hashes.values())], JSON.stringify([...hashes])).toHaveLength(1);
});

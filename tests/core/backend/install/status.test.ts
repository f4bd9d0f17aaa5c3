/** `trainer backend status`: what is there, what a run would use, what was tried, and why it failed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findNativeSources } from "../../../../core/backend/install/native-sources.js";
import { recipeFor } from "../../../../core/backend/install/recipe.js";
import { type BackendStatus, backendStatus, formatStatus } from "../../../../core/backend/install/status.js";
import { formatBytes } from "../../../../core/format.js";
import { nameOf, writeEntry } from "../../../support/workshop.js";

const name = nameOf(recipeFor("cpu"), findNativeSources());
let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "fitloop-status-"));
  vi.stubEnv("FITLOOP_CACHE", cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

const place = (): string => `TensorFlow (cpu) in ${cache}`;
const tried = ({ tried: places }: BackendStatus) => places.find((each) => each.place === place());

// In this order: a process keeps a TensorFlow that it has loaded.
it("of a machine without TensorFlow names the way to get it", async () => {
  vi.stubEnv("TF_NUM_INTRAOP_THREADS", "");
  const status = await backendStatus();
  expect(status).toMatchObject({
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    threads: availableParallelism(),
    cache: { path: cache, bytes: 0, entries: [] },
    use: { name: "wasm" },
    failure: "TensorFlow is not installed. To get it: trainer backend install",
  });
  expect(tried(status)).toEqual({ place: place(), problem: "it is not installed" });
  const lines = formatStatus(status).split("\n");
  expect(lines[0]).toMatch(/^in use {4}WebAssembly \(tf\.js\) 4\.22\.0 on CPU.*, 1 thread$/);
  expect(lines[1]).toBe(`          ${status.failure}`);
  expect(lines).toContain(`cache     ${cache}, 0 kB`);
  expect(lines).toContain(`          ${place()}: it is not installed`);
});

it("of a damaged entry says what is wrong with it", async () => {
  writeEntry(join(cache, name));
  writeFileSync(join(cache, name, "tfjs_binding.node"), "half");
  mkdirSync(join(cache, "tensorflow-2.9.1-cpu-linux-x64-0"));
  writeFileSync(join(cache, "tensorflow-notes.txt"), "no entry");
  const problem = "tfjs_binding.node differs from what was installed";
  const status = await backendStatus();
  expect(status.cache.entries).toEqual([
    { name, bytes: status.cache.bytes, problem },
    { name: "tensorflow-2.9.1-cpu-linux-x64-0", bytes: 0, problem: "it is not installed" },
  ]);
  expect(status.failure).toBe(
    `TensorFlow cannot be loaded (${place()}: ${problem}). To get it: trainer backend install`,
  );
  expect(formatStatus(status)).toContain(`          ${name}, ${formatBytes(status.cache.bytes)}: ${problem}\n`);
});

it("reads every byte on request", async () => {
  writeEntry(join(cache, name), { installedAt: "2026-11-24T12:00:00.000Z" });
  writeFileSync(join(cache, name, "tfjs_binding.node"), "no addoN"); // the size is right
  expect((await backendStatus()).cache.entries).toEqual([
    { name, bytes: expect.any(Number), installedAt: "2026-11-24T12:00:00.000Z", compared: "sizes" },
  ]);
  const { entries } = (await backendStatus({ verify: true })).cache;
  expect(entries[0]!.problem).toBe("tfjs_binding.node differs from what was installed");
  writeFileSync(join(cache, name, "tfjs_binding.node"), "no addon");
  const whole = await backendStatus({ verify: true });
  expect(whole.cache.entries[0]).toMatchObject({ compared: "sha256" });
  expect(formatStatus(whole)).toContain("installed 2026-11-24, every byte as installed (SHA-256)\n");
});

it("of an addon that does not load has the loader's own words", async () => {
  writeEntry(join(cache, name));
  const status = await backendStatus();
  expect(tried(status)).toEqual({ place: place(), addon: join(cache, name, "tfjs_binding.node") });
  expect(status.use.name).toBe("wasm");
  expect(status.failure).toContain(`TensorFlow cannot be loaded (${place()}: `);
  expect(status.failure).toMatch(/tfjs_binding\.node: (file too short|invalid ELF header)\)/);
  expect(formatStatus(status)).toContain(
    `${name}, ${formatBytes(status.cache.bytes)}: installed 2026-11-24, all sizes as installed (--verify compares every byte)\n`,
  );
});

it("of this machine names TensorFlow, its device and its threads", async () => {
  vi.unstubAllEnvs();
  vi.stubEnv("TF_NUM_INTRAOP_THREADS", "1");
  const status = await backendStatus();
  expect(status).toMatchObject({ threads: 1, use: { name: "tensorflow", version: "2.21.0", threads: 1 } });
  expect(status).not.toHaveProperty("failure");
  expect(status.tried.some(({ addon }) => addon !== undefined)).toBe(true);
  expect(status.cache.entries).toContainEqual(expect.objectContaining({ name, installedAt: expect.any(String) }));
  expect(status.cache.bytes).toBeGreaterThan(500e6);
  const text = formatStatus(status);
  expect(text).toMatch(/^in use {4}TensorFlow 2\.21\.0 on (CPU, .+|GPU), 1 thread\nnode /);
  expect(text).toContain("TensorFlow would use 1 thread (TF_NUM_INTRAOP_THREADS)\n");
  expect(text).toMatch(/: found$/m);
});

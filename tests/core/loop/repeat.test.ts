/** What a run may depend on, and what it must not keep: the same bits in two processes, and no tensor over 500 steps. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, expect, test } from "vitest";
import { loadBackend, Trainer } from "../../../core/index.js";
import { microConfig } from "../../../core/testing/index.js";
import { cutmix, ema, gradientAccumulation, l2, labelSmoothing, randomCropFlip } from "../../../plugins/index.js";

const run = promisify(execFile);
const base = mkdtempSync(join(tmpdir(), "fitloop-repeat-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Trains a few steps of the quickstart in a process of its own; SHA-256 of the weights it kept. */
async function weightsOf(name: string, seed: number, backend: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const out = join(base, name);
  const words = ["--preset", "quickstart", "--max-steps", "4", "--limit-train", "300", "--limit-test", "20"];
  const trainer = join(import.meta.dirname, "../../../bin/trainer.mjs");
  await run(process.execPath, [trainer, ...words, "--backend", backend, "--seed", String(seed), "--out", out], {
    cwd: base,
    env: { ...process.env, ...env },
  });
  return createHash("sha256").update(readFileSync(join(out, "weights.safetensors"))).digest("hex");
}

test.each(["tensorflow", "wasm"])("two processes give the same bits on %s, another seed gives others", async (backend) => {
  const first = await weightsOf(`${backend}-first`, 1, backend);
  const second = await weightsOf(`${backend}-second`, 1, backend, { TZ: "Asia/Tokyo", LANG: "tr_TR.UTF-8", UV_THREADPOOL_SIZE: "1" });
  expect(second).toBe(first);
  expect(await weightsOf(`${backend}-other`, 2, backend)).not.toBe(first);
}, 180_000);

test("500 steps with plugins that keep tensors gain no tensor and no byte", async () => {
  await loadBackend({ name: "tensorflow" });
  const before = tf.memory().numTensors;
  const trainer = new Trainer(
    microConfig({
      epochs: 250,
      batchSize: 4,
      evaluateEvery: 10,
      plugins: [randomCropFlip({ padding: 1 }), cutmix(), labelSmoothing(), gradientAccumulation({ factor: 2 }), l2(), ema()],
    }),
  );
  const seen = new Set<string>();
  let steps = 0;
  trainer.events.on("step", ({ step }) => {
    steps = step;
    const { numTensors, numBytes } = tf.memory();
    if (step > 2) seen.add(`${numTensors} tensors, ${numBytes} bytes`);
  });
  await trainer.fit();
  expect(steps).toBeGreaterThanOrEqual(500);
  expect([...seen]).toHaveLength(1);
  expect(tf.memory().numTensors).toBe(before);
}, 120_000);

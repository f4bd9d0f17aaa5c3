/** What a run may depend on, and what it must not keep: the same bits in two processes, and no tensor over 600 steps. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, expect, test } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { loadBackend, Trainer } from "../../../core/index.js";
import { microConfig } from "../../../core/testing/index.js";
import {
  cutmix,
  ema,
  gradCam,
  gradientAccumulation,
  l2,
  labelSmoothing,
  randomCropFlip,
} from "../../../plugins/index.js";
import { createCheckpointWriter, fromCheckpoint } from "../../../run/checkpoint-writer.js";
import { newestCheckpoint } from "../../../run/checkpoints.js";

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
  return createHash("sha256")
    .update(readFileSync(join(out, "weights.safetensors")))
    .digest("hex");
}

test.each(["tensorflow", "wasm"])(
  "two processes give the same bits on %s, another seed gives others",
  async (backend) => {
    const first = await weightsOf(`${backend}-first`, 1, backend);
    const second = await weightsOf(`${backend}-second`, 1, backend, {
      TZ: "Asia/Tokyo",
      LANG: "tr_TR.UTF-8",
      UV_THREADPOOL_SIZE: "1",
    });
    expect(second).toBe(first);
    expect(await weightsOf(`${backend}-other`, 2, backend)).not.toBe(first);
  },
);

test("600 steps with evaluations, checkpoints, Grad-CAM and a resume gain no tensor and no byte", async () => {
  await loadBackend({ name: "tensorflow" });
  const before = tf.memory().numTensors;
  const folder = mkdtempSync(join(base, "run-"));
  const checkpoints = join(folder, "checkpoints");
  const seen = new Set<string>();
  const times = { step: 0, evaluate: 0, save: 0, image: 0 };
  // Epochs of fifty steps.
  const trainerTo = (maxSteps: number): Trainer => {
    const trainer = new Trainer(
      microConfig({
        data: shapes({ classes: 4, size: 8, train: 500, test: 8 }),
        epochs: 13,
        maxSteps,
        batchSize: 4,
        evaluateEvery: 2,
        plugins: [
          randomCropFlip({ padding: 1 }),
          cutmix(),
          labelSmoothing(),
          gradientAccumulation({ factor: 2 }),
          l2(),
          ema(),
          gradCam({ every: 2, images: 2 }),
        ],
      }),
    );
    trainer.events.on("evaluate:end", () => times.evaluate++);
    trainer.events.on("image", () => times.image++);
    trainer.events.on("step", ({ step }) => {
      times.step = step;
      const { numTensors, numBytes } = tf.memory();
      if (step > 2) seen.add(`${numTensors} tensors, ${numBytes} bytes`);
    });
    return trainer;
  };
  const onResumePoint = createCheckpointWriter({ folder: checkpoints, every: 15, onSaved: () => times.save++ });
  (await trainerTo(600).fit({ folder, onResumePoint })).dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(times.step).toBe(600);
  expect(times.evaluate).toBeGreaterThanOrEqual(6);
  expect(times.save).toBeGreaterThanOrEqual(40);
  expect(times.image).toBeGreaterThanOrEqual(6);

  const { checkpoint } = newestCheckpoint(checkpoints);
  const resumed = await trainerTo(620).fit({ folder, onResumePoint, from: () => fromCheckpoint(checkpoint!) });
  resumed.dispose();
  expect(times.step).toBe(620);
  expect(tf.memory().numTensors).toBe(before);
  expect([...seen]).toHaveLength(1);
});

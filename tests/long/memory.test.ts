/**
 * R18, R19 and R20 at length: over ten thousand steps no tensor more, no byte of tensors more, no memory beyond the noise
 * of the garbage collector, and no plugin accused of a leak. Evaluations, checkpoints, Grad-CAM and a resume among them.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../core/data/index.js";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
import type { Given } from "../../core/parts.js";
import { microConfig } from "../../core/testing/index.js";
import * as plugins from "../../plugins/index.js";
import { createCheckpointWriter, fromCheckpoint } from "../../run/checkpoint-writer.js";
import { newestCheckpoint } from "../../run/checkpoints.js";
import { createRunRecord } from "../../run/record.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-memory-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let collect: () => void;
beforeAll(async () => {
  await loadBackend();
  setFlagsFromString("--expose-gc");
  collect = runInNewContext("gc") as () => void;
});

const total = 10_000;
const warmUp = 2_000;
const every = 200;

const everything = (): Given<Plugin>[] => [
  plugins.dropout({ rate: 0.1 }),
  plugins.stochasticDepth({ rate: 0.1 }),
  plugins.squeezeExcite({ reduction: 4 }),
  plugins.randomCropFlip({ padding: 1 }),
  plugins.randAugment(),
  plugins.colorJitter(),
  plugins.randomAffine(),
  plugins.randomErasing(),
  plugins.cutmix({ probability: 0.5 }),
  plugins.labelSmoothing(),
  plugins.gradientAccumulation({ factor: 2 }),
  plugins.gradientClipping({ maximum: 1 }),
  plugins.l2({ decay: 1e-4 }),
  plugins.differentialLr(),
  plugins.warmup({ epochs: 1 }),
  plugins.cosineRestarts({ firstCycle: 10, factor: 2 }),
  plugins.ema({ decay: 0.99 }),
  plugins.earlyStopping({ patience: 1_000_000 }),
  plugins.testTimeAugmentation({ flip: true }),
];

interface Sample {
  step: number;
  heap: number;
  outside: number;
  resident: number;
}

/** Trains to `maxSteps` and takes samples after the warm-up. */
async function train(more: Given<Plugin>[], { maxSteps = total, resumes = false } = {}) {
  const run = mkdtempSync(join(base, "run-"));
  const checkpoints = join(run, "checkpoints");
  const record = createRunRecord({ logEvery: 10 });
  const list = [...everything(), ...more];
  // Epochs of 25 steps, each with its evaluation and its checkpoint.
  const data = shapes({ classes: 4, size: 8, train: 500, test: 8 });
  const trainer = new Trainer(microConfig({ data, epochs: maxSteps, maxSteps, plugins: list }), [record.plugin]);
  const samples: Sample[] = [];
  const tensors = new Set<string>();
  const accused: string[] = [];
  trainer.events.on(
    "warning",
    ({ message }) => void (/ leaks|left \d+ tensors/.test(message) && accused.push(message)),
  );
  trainer.events.on("step", ({ step }) => {
    const { numTensors, numBytes } = tf.memory();
    if (step > warmUp) tensors.add(`${numTensors} tensors, ${numBytes} bytes`);
    if (step < warmUp || step % every !== 0) return;
    collect();
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    samples.push({ step, heap: heapUsed, outside: external, resident: rss });
  });
  const before = tf.memory().numTensors;
  const { dispose } = await trainer.fit({
    folder: run,
    onResumePoint: createCheckpointWriter({ folder: checkpoints, every: 500, metrics: record.metrics }),
  });
  dispose();
  expect(tf.memory().numTensors).toBe(before);
  if (resumes) {
    const { checkpoint } = newestCheckpoint(checkpoints);
    const config = microConfig({ data, epochs: maxSteps, maxSteps: maxSteps + 50, plugins: list });
    const resumed = await new Trainer(config).fit({ from: () => fromCheckpoint(checkpoint!) });
    resumed.dispose();
    expect(tf.memory().numTensors).toBe(before);
  }
  return { samples, tensors, accused };
}

/** Least squares: units a step. */
function slope(samples: readonly Sample[], of: keyof Sample): number {
  const mean = (key: keyof Sample): number => samples.reduce((sum, each) => sum + each[key], 0) / samples.length;
  const [x, y] = [mean("step"), mean(of)];
  const covariance = samples.reduce((sum, each) => sum + (each.step - x) * (each[of] - y), 0);
  return covariance / samples.reduce((sum, each) => sum + (each.step - x) ** 2, 0);
}

const limits = { heap: 300, outside: 300, resident: 1500 } as const; // bytes a step; 1 KB kept a step is over each

describe(`${total} steps of all that goes together`, () => {
  it("gain no tensor, no memory, and accuse nobody", async () => {
    const { samples, tensors, accused } = await train([], { resumes: true });
    expect(accused).toEqual([]);
    expect([...tensors]).toHaveLength(1);
    const slopes = (Object.keys(limits) as (keyof typeof limits)[]).map((key) => [key, slope(samples, key)] as const);
    console.log(slopes.map(([key, value]) => `${key} ${value.toFixed(0)} B/step`).join(", "));
    for (const [key, value] of slopes) expect(value, key).toBeLessThan(limits[key]);
  }, 1_800_000);

  it("and would be noticed if a step kept 1 KB: the control", async () => {
    const kept: Uint8Array[] = [];
    const lists: number[][] = [];
    const greedy: Plugin = {
      name: "greedy",
      options: {},
      apply: ({ hooks }) =>
        hooks.onStep.tap(
          () => void (kept.push(new Uint8Array(1024)), lists.push(Array.from({ length: 128 }, Math.sin))),
        ),
    };
    const { samples } = await train([greedy], { maxSteps: 4_000 });
    expect(slope(samples, "outside")).toBeGreaterThan(limits.outside);
    expect(slope(samples, "heap")).toBeGreaterThan(limits.heap);
  });
});

it("Grad-CAM after every epoch of a thousand steps gains no tensor and is accused of nothing", async () => {
  const { accused } = await train([plugins.gradCam()], { maxSteps: 1_000 });
  expect(accused).toEqual([]);
});

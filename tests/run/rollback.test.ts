/** A run that goes back after a failed step, on disk: killed at any checkpoint, it comes to the same end. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import { ema } from "../../plugins/index.js";
import { type CheckpointMeta, createCheckpointWriter, fromCheckpoint } from "../../run/checkpoint-writer.js";
import { listCheckpoints, newestCheckpoint } from "../../run/checkpoints.js";
import { type RunConfigRecord, runFiles } from "../../run/files.js";
import { readMetrics } from "../../run/metrics.js";
import { createRunRecord } from "../../run/record.js";

beforeAll(async () => void (await loadBackend()));
const base = mkdtempSync(join(tmpdir(), "fitloop-rollback-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Fails in the middle of the second epoch at the full rate, and in the step after the way back where it is told to. */
const cliff = (throwsAfter: boolean): Plugin => ({
  name: "cliff",
  options: {},
  apply: ({ hooks }) =>
    hooks.beforeStep.tap((gradients, { microBatch, learningRate }) => {
      if (throwsAfter && learningRate! < 0.04) throw new Error("on purpose");
      if (microBatch < 4 || learningRate! < 0.04) return gradients;
      return new Map([...gradients].map(([name, each]) => [name, tf.mul(each, Number.NaN)]));
    }),
});

interface Kept {
  path: string;
  copy: string;
}

interface TrainHow {
  throwsAfter?: boolean;
  /** Stops it after so many steps. */
  stopAfter?: number;
  rollsBack?: boolean;
}

/** Trains in `folder`, from its newest checkpoint where it has one; copies the folder at each checkpoint. */
async function train(
  folder: string,
  { throwsAfter = false, stopAfter, rollsBack = true }: TrainHow = {},
): Promise<{ copies: Kept[]; removed: string[]; metrics: string[] }> {
  mkdirSync(folder, { recursive: true });
  const checkpoints = join(folder, runFiles.checkpoints);
  const { checkpoint } = newestCheckpoint(checkpoints);
  const record = createRunRecord();
  const copies: Kept[] = [];
  const removed: string[] = [];
  if (checkpoint) {
    const before = JSON.parse(readFileSync(join(folder, runFiles.config), "utf8")) as RunConfigRecord;
    record.resumes({ record: before, metricsBytes: (checkpoint.meta as CheckpointMeta).metricsBytes, allowed: [] });
  }
  const plugins = [ema({ decay: 0.5 }), cliff(throwsAfter)];
  const onDivergence = rollsBack ? { rollback: 1, factor: 0.5 } : "halt";
  const trainer = new Trainer(microConfig({ batchSize: 5, plugins, onDivergence }), [record.plugin]);
  const stop = new AbortController();
  trainer.events.on("step", ({ step }) => {
    if (step === stopAfter) stop.abort("enough");
  });
  const onResumePoint = createCheckpointWriter({
    folder: checkpoints,
    every: 1,
    metrics: record.metrics,
    from: checkpoint,
    onRemoved: (path) => removed.push(path.slice(checkpoints.length + 1)),
    onSaved: ({ path }) => {
      const copy = join(base, `copy-${copies.length}-${Math.random()}`);
      cpSync(folder, copy, { recursive: true });
      copies.push({ path, copy });
    },
  });
  const from = checkpoint && (() => fromCheckpoint(checkpoint));
  const fitted = trainer.fit({ folder, onResumePoint, from, signal: stop.signal });
  if (throwsAfter) await expect(fitted).rejects.toThrow("on purpose");
  else await fitted;
  const metrics = readMetrics(join(folder, runFiles.metrics)).lines.map(({ event, step, epoch, loss, what }) =>
    JSON.stringify([event, step, epoch, loss, what]),
  );
  return { copies, removed, metrics };
}

const stepsOf = (metrics: readonly string[]): unknown[] =>
  metrics.filter((line) => line.startsWith('["step"')).map((line) => JSON.parse(line)[1]);

const weightsOf = (folder: string): string => readFileSync(join(folder, runFiles.weights)).toString("base64");

it("has each step once in its metrics, and comes to one end from wherever it is killed", async () => {
  const whole = join(base, "whole");
  const { copies, removed, metrics } = await train(whole);
  expect(removed).toEqual(["step-00000004"]);
  expect(stepsOf(metrics)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(metrics.filter((line) => line.startsWith('["diverged"'))).toHaveLength(1);
  expect(copies.length).toBeGreaterThan(9);
  for (const { path, copy } of copies) {
    const rest = await train(copy);
    expect(weightsOf(copy), path).toBe(weightsOf(whole));
    expect(rest.metrics, path).toEqual(metrics);
  }
});

it("fails after the way back: what is kept is of the way that it has taken", async () => {
  const folder = join(base, "fails");
  await train(folder, { throwsAfter: true });
  expect(listCheckpoints(join(folder, runFiles.checkpoints)).map(({ step }) => step)).toEqual([3, 3]); // the third step, and the epoch's end
  const { position } = newestCheckpoint(join(folder, runFiles.checkpoints)).checkpoint!.meta as CheckpointMeta;
  expect(position).toMatchObject({ step: 3, rollbacks: 1, rateFactor: 0.5 });
});

it("has each step once where only the resumed run rolls back, from the middle of an epoch", async () => {
  const folder = join(base, "switched on");
  await train(folder, { rollsBack: false, stopAfter: 4 });
  const { metrics } = await train(folder);
  expect(stepsOf(metrics)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(metrics.filter((line) => line.startsWith('["diverged"'))).toHaveLength(1);
});

/**
 * R33 at length: runs that are interrupted, gone on with, evaluated and kept at random, 300 sequences of it. Whatever
 * happens, what was said keeps to its grammar, each step is made once, and the end is the one of an undisturbed run.
 */
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { shapes } from "../../core/data/index.js";
import { loadBackend, Trainer, type TrainerConfig } from "../../core/index.js";
import type { Snapshot } from "../../core/loop/snapshot.js";
import { microConfig, weightsHash } from "../../core/testing/index.js";
import { cutmix, dropout, ema, gradientAccumulation, randomCropFlip } from "../../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../run/checkpoints.js";

beforeAll(async () => void (await loadBackend()));

const epochs = 3;
const stepsPerEpoch = 3; // of 5 micro-batches, two to a step
const micro = (overrides: Partial<TrainerConfig> = {}): TrainerConfig =>
  microConfig({
    data: shapes({ classes: 4, size: 8, train: 25, test: 6 }),
    epochs,
    batchSize: 4,
    ...overrides,
    plugins: [
      dropout({ rate: 0.2 }),
      randomCropFlip({ padding: 1 }),
      cutmix({ probability: 0.5 }),
      gradientAccumulation({ factor: 2 }),
      ema({ decay: 0.9 }),
    ],
  });

/** What is done to one process of a run. */
interface Treatment {
  /** Stops at this word of what it says, if it comes to it; every kind of point is among them. */
  stopAt: number;
  /** Loses what it kept since so many moments, as a kill does. */
  loses: number;
  /** Keeps a checkpoint at all. */
  keeps: boolean;
}

interface Part {
  said: { name: string; epoch?: number; step?: number; purpose?: string }[];
  last?: Checkpoint;
  hash: string;
  stopped: boolean;
}

async function fit(
  config: TrainerConfig,
  from: Checkpoint | undefined,
  { stopAt, loses, keeps }: Treatment,
): Promise<Part> {
  const trainer = new Trainer(config);
  const controller = new AbortController();
  const part: Part = { said: [], hash: "", stopped: false };
  const kept: Checkpoint[] = [];
  trainer.events.on("*", (name, value) => {
    const { epoch, step, purpose } = value as { epoch?: number; step?: number; purpose?: string };
    part.said.push({ name, epoch, step, purpose });
    if (part.said.length === stopAt) controller.abort("SIGTERM");
  });
  const onResumePoint = (snapshot: Snapshot): void => {
    kept.push(toCheckpoint(snapshot, 0));
    part.hash = weightsHash(snapshot.weights);
  };
  const { summary, dispose } = await trainer.fit({
    signal: controller.signal,
    onResumePoint,
    from: from && (() => fromCheckpoint(from)),
  });
  dispose();
  part.stopped = summary.stopReason.startsWith("interrupted");
  part.last = keeps ? kept[Math.max(0, kept.length - 1 - (part.stopped ? loses : 0))] : from;
  return part;
}

const never: Treatment = { stopAt: Number.POSITIVE_INFINITY, loses: 0, keeps: true };

/** fit:start (epoch:start step* evaluate:end? epoch:end)* evaluate:end* fit:end */
const grammar = /^S(E(s*)v?e)*[vt]*F$/;
const letters: Record<string, string> = {
  "fit:start": "S",
  "epoch:start": "E",
  step: "s",
  "epoch:end": "e",
  "fit:end": "F",
};

function mustKeepToTheGrammar({ said, stopped }: Part): void {
  const word = said
    .map(({ name, purpose }) => (name === "evaluate:end" ? (purpose === "test" ? "t" : "v") : letters[name]))
    .join("");
  expect(word).toMatch(grammar);
  const steps = said.filter(({ name }) => name === "step").map(({ step }) => step!);
  steps.forEach((step, index) => index > 0 && expect(step).toBe(steps[index - 1]! + 1));
  for (const { name, step, epoch } of said) {
    if (name === "step") expect(epoch).toBe(Math.floor((step! - 1) / stepsPerEpoch));
  }
  if (!stopped) expect(word).toMatch(/vt?F$|tF$/);
}

it("300 random lives of a run end as the quiet one does", async () => {
  const whole = await fit(micro(), undefined, never);
  mustKeepToTheGrammar(whole);
  const { numTensors } = tf.memory();
  const treatment = fc.record({
    stopAt: fc.integer({ min: 1, max: whole.said.length }),
    loses: fc.integer({ min: 0, max: 4 }),
    keeps: fc.boolean(),
  });
  const life = fc.record({
    treatments: fc.array(treatment, { maxLength: 4 }),
    evaluateEvery: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(life, async ({ treatments, evaluateEvery }) => {
      const config = micro({ evaluateEvery });
      let from: Checkpoint | undefined;
      let last: Part | undefined;
      for (const each of [...treatments, never]) {
        last = await fit(config, from, each);
        mustKeepToTheGrammar(last);
        const first = last.said.find(({ name }) => name === "step");
        if (first) expect(first.step).toBe((from?.step ?? 0) + 1);
        from = last.last;
        if (!last.stopped) break;
      }
      expect(last!.hash).toBe(whole.hash);
      expect(tf.memory().numTensors).toBe(numTensors);
    }),
    { numRuns: 300 },
  );
});

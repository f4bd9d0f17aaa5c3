/** A run as something that can be compared: everything that it says and keeps, wall clock apart. */
import * as tf from "@tensorflow/tfjs-core";
import { expect } from "vitest";
import { shapes } from "../../core/data/index.js";
import { adamw, type Plugin, Trainer, type TrainerConfig } from "../../core/index.js";
import type { ResumePointKind } from "../../core/loop/recovery.js";
import type { Snapshot } from "../../core/loop/snapshot.js";
import { microConfig, weightsHash } from "../../core/testing/index.js";
import {
  cosineRestarts,
  cutmix,
  dropout,
  ema,
  gradientAccumulation,
  labelSmoothing,
  randomCropFlip,
} from "../../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../run/checkpoints.js";
import { toJson } from "../../run/json.js";

/** 8 epochs of 8 micro-batches, the last one short: 64 places to be interrupted at, every kind of randomness on. */
export const micro = (overrides: Partial<TrainerConfig>): TrainerConfig =>
  microConfig({
    data: shapes({ classes: 4, size: 8, train: 75, test: 6 }),
    epochs: 8,
    ...overrides,
    plugins: [
      dropout({ rate: 0.2 }),
      randomCropFlip({ padding: 1 }),
      cutmix({ probability: 0.5 }),
      labelSmoothing(),
      ...(overrides.plugins ?? []),
    ],
  });

/** Falls over a cliff in the third epoch, unless its rate is lower. */
const cliff: Plugin = {
  name: "cliff",
  options: {},
  apply: ({ hooks }) =>
    hooks.beforeStep.tap((gradients, { microBatch, learningRate }) =>
      microBatch < 20 || learningRate! < 0.04
        ? gradients
        : new Map([...gradients].map(([name, each]) => [name, tf.mul(each, Number.NaN)])),
    ),
};

/** Parts with a state of each kind; the other plugins with one have their turn in the contract suite. */
export const resumable = Object.entries<Partial<TrainerConfig>>({
  "SGD with momentum": { plugins: [cosineRestarts({ firstCycle: 1, factor: 2 })] },
  AdamW: { optimizer: adamw({ weightDecay: 0.01 }), learningRate: 0.003 },
  "accumulation, in the middle of windows": { plugins: [gradientAccumulation({ factor: 3 })] },
  "a step that fails, and the way back from it": {
    plugins: [ema({ decay: 0.9 }), cliff],
    onDivergence: { rollback: 1, factor: 0.5 },
  },
});

export interface Trace {
  /** Of everything a run is at its end. */
  end: string;
  /** Everything that was said, wall clock apart. */
  events: string[];
  kept: { point: ResumePointKind; checkpoint: Checkpoint }[];
}

const wallClock = /"(seconds|imagesPerSecond|millisecondsPerStep|share)":[^,}]+/g;

export async function traced(config: TrainerConfig, from?: Checkpoint): Promise<Trace> {
  const trainer = new Trainer(config);
  const trace: Trace = { end: "", events: [], kept: [] };
  trainer.events.on("*", (name, value) => {
    if (name === "fit:start" || name === "epoch:start") return; // say where it begins, which is what differs
    trace.events.push(`${name} ${toJson(value).replaceAll(wallClock, "")}`);
  });
  const onResumePoint = (snapshot: Snapshot, point: ResumePointKind): void => {
    trace.kept.push({ point, checkpoint: toCheckpoint(snapshot, 0) });
  };
  const { dispose } = await trainer.fit({ onResumePoint, from: from && (() => fromCheckpoint(from)) });
  dispose();
  trace.end = said(trace.kept.at(-1)!.checkpoint);
  return trace;
}

/** A checkpoint as text that is equal where every bit is. */
function said({ tensors, meta }: Checkpoint): string {
  const asTensors = new Map([...tensors].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]));
  const hash = weightsHash(asTensors);
  tf.dispose([...asTensors.values()]);
  return `${hash} ${toJson(meta).replaceAll(wallClock, "")}`;
}

/**
 * Resumes a run from the points it can be interrupted at: the same end each time, and the same events.
 *
 * @param every 1 tries all of them, 7 every seventh
 * @returns how many were tried
 */
export async function mustResumeFromEverywhere(config: TrainerConfig, every = 1): Promise<number> {
  const whole = await traced(config);
  const points = whole.kept.filter(({ point }) => point !== "stop");
  const tried = [...points.entries()].filter(([index]) => index % every === 0);
  for (const [index, { point, checkpoint }] of tried) {
    const rest = await traced(config, checkpoint);
    const where = `${point} ${index} of ${points.length}`;
    expect(rest.end, where).toBe(whole.end);
    expect(rest.events, where).toEqual(whole.events.slice(-rest.events.length));
  }
  return tried.length;
}

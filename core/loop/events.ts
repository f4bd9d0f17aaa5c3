/**
 * Events: plain JSON values for listeners. tapable changes the run, mitt only watches it: a listener that throws
 * is reported once and training continues, and removing every listener changes no bit of the weights.
 */
import mitt, { type Emitter } from "mitt";
import { reasonOf } from "../errors.js";
import type { Divergence } from "./divergence.js";
import type { EpochSummary, FitSummary, Metrics, Progress } from "./types.js";

/** A metric's figures without the raw outputs behind them. */
export type MetricsRecord = Omit<Metrics, "outputs">;
export type EpochRecord = Omit<EpochSummary, "validation"> & { validation?: MetricsRecord };
export type SummaryRecord = Omit<FitSummary, "validation" | "test"> & {
  validation?: MetricsRecord;
  test?: MetricsRecord;
};

/** Event -> value. A `type`, as mitt wants it. */
export type Events = {
  "fit:start": Progress & {
    name: string;
    seed: number;
    backend: string;
    threads: number;
    parameters: number;
    trainSamples: number;
    validationSamples: number;
    testSamples: number;
    classes: number;
    batchSize: number;
    /** The step that ends the run, if nothing does before: `totalSteps`, or fewer by `maxSteps`. None with `maxTime`. */
    lastStep?: number;
    folder?: string;
  };
  /** Before `fit:start`: the position from which an interrupted run resumes. */
  "fit:resume": { epoch: number; step: number; batchInEpoch: number };
  "epoch:start": Progress;
  /** After every optimizer step. */
  step: Progress & {
    /** Steps done, this one included. */
    step: number;
    loss: number;
    top1: number;
    learningRate: number;
    gradientNorm: number;
    imagesPerSecond: number;
    /** Images since the step before. */
    samples: number;
  };
  "evaluate:end": Progress & MetricsRecord & { purpose: string };
  "epoch:end": EpochRecord;
  /** A step whose numbers are not finite; it was not applied. */
  diverged: Divergence;
  /** It survives power loss from here on. */
  "checkpoint:saved": { step: number; path: string; bytes: number };
  /** Something to look at, for logs and reports: a file, since events are JSON. */
  image: {
    /** Optimizer steps done. */
    step: number;
    /** Groups images of one kind over time: "augmented", "grad-cam/airplane". */
    tag: string;
    /** A PNG; relative to the run's folder, parts joined by "/". */
    path: string;
    caption?: string;
  };
  "fit:end": SummaryRecord;
  /** Worth a line, and nothing to act on. */
  note: { message: string };
  warning: { message: string };
};

export type EventName = keyof Events;

/** An emitter whose failing listeners cannot reach the loop. */
export function createEvents(): Emitter<Events> {
  const emitter = mitt<Events>();
  const emit = emitter.emit;
  const reported = new WeakSet<object>();
  const guarded = <K extends EventName>(type: K, event: Events[K]): void => {
    if (type === "warning" && !emitter.all.get("warning")?.length && !emitter.all.get("*")?.length) {
      console.error(`warning: ${(event as Events["warning"]).message}`); // nobody listens
    }
    // mitt calls its listeners in one loop; each is called here, so that one failure stops no other.
    for (const handler of [...((emitter.all.get(type) ?? []) as ((event: Events[K]) => void)[])]) {
      try {
        handler(event);
      } catch (error) {
        if (reported.has(handler)) continue;
        reported.add(handler);
        const message = `A listener of "${type}" failed: ${reasonOf(error)}`;
        if (type !== "warning") guarded("warning", { message });
      }
    }
    for (const handler of [...((emitter.all.get("*") ?? []) as ((type: K, event: Events[K]) => void)[])]) {
      try {
        handler(type, event);
      } catch {
        // The same listener sees the warning too; reporting its own failure to it would not end.
      }
    }
  };
  emitter.emit = guarded as typeof emit;
  return emitter;
}

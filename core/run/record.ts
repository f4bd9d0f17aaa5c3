/**
 * What a run keeps of itself: config, metrics, the final weights and the summary. A plugin like any other,
 * but one that the command line adds and no config names.
 */
import type * as tf from "@tensorflow/tfjs-core";
import { join } from "node:path";
import { configRecord } from "../config/config.js";
import { TrainerError } from "../errors.js";
import type { SummaryRecord } from "../loop/events.js";
import type { Plugin } from "../loop/plugin.js";
import { fitEndRecord } from "../loop/summary.js";
import type { Run } from "../loop/types.js";
import { readSafetensors } from "../nn/safetensors.js";
import { weightsToSafetensors } from "../nn/weights-file.js";
import { ioError, system, writeAll, writeFileAtomic } from "./files.js";
import { toJson } from "./json.js";

/** Names inside a run's folder. */
export const runFiles = {
  config: "config.resolved.json",
  metrics: "metrics.jsonl",
  summary: "summary.json",
  weights: "weights.safetensors",
} as const;

export interface RunRecordOptions {
  /** Keep every so many steps in the metrics; epochs are always kept. Default 1. */
  logEvery?: number;
}

/** What a picture needs before the network sees it, and what the network's answers are called. */
export interface Preprocessing {
  readonly classes: readonly string[];
  readonly height: number;
  readonly width: number;
  readonly inputSize: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** Kept inside the weights file, so that a prediction needs no data set. */
const preprocessingKey = "fitloop.preprocessing";

function weightsFile({ model, data, inputSize }: Run, weights: ReadonlyMap<string, tf.Tensor>): Uint8Array {
  const { classes, height, width, mean, deviation } = data;
  const preprocessing: Preprocessing = { classes, height, width, inputSize, mean, deviation };
  return weightsToSafetensors(weights, model.layer, { [preprocessingKey]: JSON.stringify(preprocessing) });
}

/** @throws TrainerError ERR_WEIGHTS for a file that a run did not write */
export function readPreprocessing(bytes: Uint8Array, where: string): Preprocessing {
  const text = readSafetensors(bytes, where).metadata[preprocessingKey];
  if (text === undefined) {
    throw new TrainerError(
      "ERR_WEIGHTS",
      `${where} does not say how its pictures are prepared: no run wrote it.`,
    );
  }
  return JSON.parse(text) as Preprocessing;
}

/**
 * Writes a run's folder; does nothing for a run that has none, and keeps nothing of one that failed before
 * its first step. Failures end the run: ERR_IO with the path.
 */
export function runRecord({ logEvery = 1 }: RunRecordOptions = {}): Plugin {
  return {
    name: "run-record",
    options: { logEvery },
    apply({ hooks, events }) {
      let run: Run | undefined;
      let metrics: number | undefined;
      let failed: unknown;
      let weights: Uint8Array | undefined;
      const inFolder = (name: keyof typeof runFiles): string => join(run!.folder!, runFiles[name]);

      const append = (event: string, value: object): void => {
        if (metrics === undefined || failed) return;
        try {
          writeAll(metrics, Buffer.from(`${toJson({ event, ...value })}\n`));
        } catch (cause) {
          // A listener must not throw; the next hook does.
          failed = ioError(`Writing ${inFolder("metrics")}`, cause);
        }
      };
      const report = (): undefined => {
        if (failed) throw failed;
      };

      // Last: where another plugin refuses to start, there is nothing to take away.
      hooks.onFitStart.tap({ stage: "last" }, (started) => {
        if (started.folder === undefined) return;
        run = started;
        writeFileAtomic(inFolder("config"), `${toJson(configRecord(started.config), 2)}\n`);
        try {
          metrics = system.openSync(inFolder("metrics"), "a");
        } catch (cause) {
          throw ioError(`Opening ${inFolder("metrics")}`, cause);
        }
      });
      events.on("step", (event) => {
        if (event.step % logEvery === 0) append("step", event);
      });
      events.on("epoch:end", (event) => append("epoch:end", event));
      events.on("warning", (event) => append("warning", event));
      hooks.onStep.tap(report);
      hooks.onEpochEnd.tap(report);
      hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
        if (run && evaluation.purpose === "final") weights = weightsFile(run, evaluation.weights);
        return evaluation;
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        if (!run) return;
        if (summary.steps === 0 && summary.stopReason.startsWith("failed")) {
          for (const name of ["config", "metrics"] as const) system.rmSync(inFolder(name), { force: true });
          return;
        }
        report();
        // An interrupted run ends without choosing: its last weights are what there is.
        weights ??= weightsFile(run, run.weights());
        writeFileAtomic(inFolder("weights"), weights);
        const record: SummaryRecord = fitEndRecord(summary);
        writeFileAtomic(inFolder("summary"), `${toJson(record, 2)}\n`);
      });
      return {
        dispose() {
          if (metrics !== undefined) system.closeSync(metrics);
          metrics = undefined;
        },
      };
    },
  };
}

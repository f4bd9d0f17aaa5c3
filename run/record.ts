/**
 * What a run keeps of itself: config, metrics, the final weights and the summary. A plugin like any other,
 * but one that the command line adds and no config names.
 */

import { cpus } from "node:os";
import { join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { packageVersion } from "../core/backend/install/native-sources.js";
import { type ConfigRecord, configRecord, configSchema } from "../core/config/config.js";
import { reasonOf, TrainerError } from "../core/errors.js";
import { system, writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import type { Plugin } from "../core/loop/plugin.js";
import { fitEndRecord } from "../core/loop/summary.js";
import type { FitContext } from "../core/loop/types.js";
import { readSafetensors } from "../core/nn/safetensors.js";
import { weightsToSafetensors } from "../core/nn/weights-file.js";
import { toJson } from "./json.js";
import { type MetricsLog, openMetrics } from "./metrics.js";

/** Names inside a run's folder. */
export const runFiles = {
  config: "config.resolved.json",
  metrics: "metrics.jsonl",
  summary: "summary.json",
  weights: "weights.safetensors",
  checkpoints: "checkpoints",
} as const;

export interface RunRecordOptions {
  /** Keep every so many steps in the metrics; epochs are always kept. Default 1. */
  logEvery?: number;
  /** The config file of a run that has one. */
  source?: ConfigSource;
  /** Names the run for this machine's memory; default a random one. */
  id?: string;
  /** Plugins that take part when the finished run is used; asked when the run starts. */
  inference?: () => readonly string[];
}

/** A config file as a run remembers it. */
export interface ConfigSource {
  readonly path: string;
  /** Over the config and every local file that it imports. */
  readonly sha256: string;
}

/** What the bits of a run depend on beside its config. */
export interface Environment {
  readonly backend: string;
  readonly backendVersion: string;
  readonly threads: number;
  readonly node: string;
  readonly platform: string;
  /** Its model, where the system tells it; records of earlier versions have neither. */
  readonly processor?: string;
  /** This package's version. */
  readonly fitloop?: string;
}

/** `config.resolved.json`. */
export interface RunConfigRecord extends ConfigRecord {
  /** For people: where the config came from. Never loaded because a record names it. */
  readonly source?: ConfigSource;
  /** Random. This machine remembers by it which config file made the run (`run/origin.ts`). */
  readonly id?: string;
  /** Plugins that take part when the finished run is used: they build the network, or say how it is evaluated. */
  readonly inference?: readonly string[];
  readonly environment?: Environment;
}

/** The config in a record, without what the run adds to it. */
export function configIn(record: RunConfigRecord): ConfigRecord {
  const fields = Object.keys(configSchema.shape).filter((field) => Object.hasOwn(record, field));
  return Object.fromEntries(fields.map((field) => [field, record[field as keyof ConfigRecord]])) as ConfigRecord;
}

/** The run that this one goes on with. */
export interface Before {
  readonly record: RunConfigRecord;
  /** What its metrics are cut back to. */
  readonly metricsBytes: number;
  /** Fields that may differ all the same. */
  readonly allowed: readonly string[];
}

export interface RunRecord {
  readonly plugin: Plugin;
  /** The run goes on with another; said before it starts. */
  goesOn(before: Before): void;
  /** Of the run under way: their length, and that it is flushed. */
  readonly metrics: Pick<MetricsLog, "bytes" | "sync" | "cut">;
}

/** What an image needs before the network sees it, and what the network's answers are called. */
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

function weightsFile({ model, data, inputSize }: FitContext, weights: ReadonlyMap<string, tf.Tensor>): Uint8Array {
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
      `${where} has no preprocessing of images. Expected weights that a run wrote.`,
    );
  }
  return JSON.parse(text) as Preprocessing;
}

/**
 * Writes a run's folder; does nothing for a run that has none, and keeps nothing of one that failed before
 * its first step. Failures end the run: ERR_IO with the path.
 */
export function createRunRecord({ logEvery = 1, source, id, inference }: RunRecordOptions = {}): RunRecord {
  let metrics: MetricsLog | undefined;
  let before: Before | undefined;
  let failed: unknown; // of the metrics
  const plugin: Plugin = {
    name: "run-record",
    options: { logEvery },
    apply({ hooks, events }) {
      let run: FitContext | undefined;
      let weights: Uint8Array | undefined;
      const early: { message: string }[] = []; // said before there was a file to keep it in
      const inFolder = (name: keyof typeof runFiles): string => join(run!.folder!, runFiles[name]);

      const append = (event: string, value: object): void => {
        if (!metrics || failed) return;
        try {
          inFolder("metrics"); // throws where the run has lost its folder
          metrics.append(event, value);
        } catch (cause) {
          // A listener must not throw; the next hook does.
          failed = cause;
        }
      };
      const report = (): undefined => {
        if (failed) throw failed;
      };

      const begin = (started: FitContext, environment = environmentOf(started)): void => {
        run = started;
        const config = configRecord(started.config);
        const record: RunConfigRecord = { ...config, id, inference: inference?.(), source, environment };
        writeFileAtomic(inFolder("config"), `${toJson(record, 2)}\n`);
      };
      // First: a run that is killed while others start is one that can be gone on with.
      hooks.onFitStart.tap({ stage: "first" }, (started) => {
        if (started.folder !== undefined && !before) begin(started);
      });
      // Last: where another plugin refuses to start, a run that was to go on is as it was.
      hooks.onFitStart.tap({ stage: "last" }, (started) => {
        if (started.folder === undefined) return;
        if (before) {
          const environment = environmentOf(started);
          sayWhatElseChanged(before, environment, (message) => events.emit("warning", { message }));
          begin(started, environment);
        }
        metrics = openMetrics(inFolder("metrics"), { from: before?.metricsBytes });
        for (const event of early.splice(0)) append("warning", event);
        if (metrics.problem) events.emit("warning", { message: metrics.problem });
      });
      events.on("step", (event) => {
        if (event.step % logEvery === 0) append("step", event);
      });
      events.on("epoch:end", (event) => append("epoch:end", event));
      events.on("diverged", (event) => append("diverged", event));
      events.on("warning", (event) => {
        if (metrics) append("warning", event);
        else early.push(event);
      });
      hooks.onStep.tap(report);
      hooks.onEpochEnd.tap(report);
      hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
        if (run && evaluation.purpose === "final") weights = weightsFile(run, evaluation.weights);
        return evaluation;
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        if (!run) return;
        try {
          inFolder("summary");
        } catch (cause) {
          failed = cause;
        }
        if (failed && summary.stopReason.includes(reasonOf(failed))) return; // said already
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
          metrics?.close();
          metrics = undefined;
        },
      };
    },
  };
  return {
    plugin,
    goesOn: (run) => (before = run),
    metrics: {
      get bytes() {
        return metrics?.bytes ?? 0;
      },
      sync() {
        if (failed) throw failed; // a run that went on from here would lack a line
        metrics?.sync();
      },
      cut(bytes) {
        if (failed) throw failed;
        metrics?.cut(bytes);
      },
    },
  };
}

function environmentOf({ backend }: FitContext): Environment {
  const { name, version, threads } = backend;
  return {
    backend: name,
    backendVersion: version,
    threads,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() || undefined,
    fitloop: packageVersion(),
  };
}

/**
 * The same bits are promised for the same backend, threads, Node and machine. Another backend is another run; what
 * else differs is said.
 *
 * @throws TrainerError ERR_RESUME
 */
function sayWhatElseChanged({ record, allowed }: Before, now: Environment, warn: (message: string) => void): void {
  const was = record.environment;
  if (!was) return;
  if (was.backend !== now.backend && !allowed.includes("backend")) {
    throw new TrainerError(
      "ERR_RESUME",
      `The run was made on ${was.backend}, and this would go on with it on ${now.backend}, whose numbers differ. ` +
        `Make ${was.backend} available, or insist with --allow-change backend.`,
    );
  }
  const known = (Object.keys(now) as (keyof Environment)[]).filter((key) => was[key] !== undefined); // by its version
  const differing = known.filter((key) => was[key] !== now[key]);
  if (differing.length === 0) return;
  const list = differing.map((key) => `${key} ${was[key]} -> ${now[key]}`).join(", ");
  warn(`The run goes on in other surroundings (${list}): the last bits may differ from an uninterrupted run's.`);
}

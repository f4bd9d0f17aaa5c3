/**
 * What a run writes about itself: config, metrics, the final weights and the summary. A plugin like any other,
 * but one that `train` adds and no config names.
 */

import { cpus } from "node:os";
import { join } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type ConfigRecord, configRecord, configSchema } from "../core/config/config.js";
import { type Data, interpolations } from "../core/data/dataset.js";
import { defaultDecoding, earlierDecoding } from "../core/data/decode.js";
import { reasonOf, TrainerError } from "../core/errors.js";
import { system, writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import type { Plugin } from "../core/loop/plugin.js";
import { fitEndRecord } from "../core/loop/summary.js";
import type { FitContext, Progress } from "../core/loop/types.js";
import { readSafetensors } from "../core/nn/safetensors.js";
import { weightsToSafetensors } from "../core/nn/weights-file.js";
import { packageVersion } from "../core/package.js";
import { configHash } from "./changes.js";
import { toCheckedJson } from "./checked-json.js";
import { listCheckpoints } from "./checkpoints.js";
import { type DataRecord, dataChange, dataRecord, mustHaveClasses } from "./data-record.js";
import { type Extension, extensionNote, extensionsOf } from "./extension.js";
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
  /** How many processes train together; asked when the run starts. Default: one. */
  processes?: () => number;
  /** The learning rate at a place of the run; asked when a run resumes with another length. */
  rateAt?: (progress: Progress) => number;
}

/** A config file as a run remembers it. */
export interface ConfigSource {
  readonly path: string;
  /** Over the config and every local file that it imports. */
  readonly sha256: string;
}

/** What the bits of a run depend on besides its config. */
export interface Environment {
  readonly backend: string;
  readonly backendVersion: string;
  readonly threads: number;
  readonly node: string;
  readonly platform: string;
  /** Its model, where the system reports it; records of earlier versions have neither. */
  readonly processor?: string;
  /** This package's version. */
  readonly fitloop?: string;
  /** That trained together; left out for one. */
  readonly processes?: number;
}

/** `config.resolved.json`. */
export interface RunConfigRecord extends ConfigRecord {
  /** For people: where the config came from. Never loaded because a record names it. */
  readonly source?: ConfigSource;
  /** False where another run of the same config, data and seed has other bits: the schedule followed measured time. */
  readonly repeatable?: false;
  /** Random. This machine remembers by it which config file made the run (`run/origin.ts`). */
  readonly id?: string;
  /** Plugins that take part when the finished run is used: they build the network, or say how it is evaluated. */
  readonly inference?: readonly string[];
  readonly environment?: Environment;
  /** Which data it was made with; records of 0.1.0 lack it. */
  readonly dataset?: DataRecord;
  /** Hashes of the configs that the run has had (`configHash`), the last one last: its checkpoints carry one of them. */
  readonly configs?: readonly string[];
  /** The changes of its length when it was resumed; left out where there is none. */
  readonly extended?: readonly Extension[];
  /** Of all other fields; records of 0.1.0 lack it. */
  readonly checksum?: string;
}

/** The config in a record, without what the run adds to it. */
export function configIn(record: RunConfigRecord): ConfigRecord {
  const fields = Object.keys(configSchema.shape).filter((field) => Object.hasOwn(record, field));
  return Object.fromEntries(fields.map((field) => [field, record[field as keyof ConfigRecord]])) as ConfigRecord;
}

/** The run that is resumed. */
export interface Before {
  readonly record: RunConfigRecord;
  /** Length to which its metrics are cut. */
  readonly metricsBytes: number;
  /** Fields that may differ nevertheless. */
  readonly allowed: readonly string[];
}

export interface RunRecord {
  readonly plugin: Plugin;
  /** Makes the run resume an earlier one; called before it starts. */
  resumes(before: Before): void;
  /** Of the run under way: their length, and that it is flushed. */
  readonly metrics: Pick<MetricsLog, "bytes" | "sync" | "cut">;
}

const side = z.int().positive();
const channels = z.array(z.number()).length(3);
const preprocessingShape = z.object({
  classes: z.array(z.string()).min(2),
  height: side,
  width: side,
  inputSize: side,
  mean: channels,
  deviation: channels.refine((values) => values.every((value) => value > 0), "expected numbers above 0"),
  decoding: z
    .object({ crop: z.number().gt(0).max(1), interpolation: z.enum(interpolations), colorProfiles: z.boolean() })
    .default(earlierDecoding),
});

/** What an image needs before the network sees it, and what the network's answers are called. */
export type Preprocessing = Readonly<z.output<typeof preprocessingShape>>;

/** Inside the weights file, so that a prediction needs no data set. */
const preprocessingKey = "fitloop.preprocessing";

function weightsFile({ model, data, inputSize }: FitContext, weights: ReadonlyMap<string, tf.Tensor>): Uint8Array {
  const { classes, height, width, mean, deviation, decoding = defaultDecoding } = data;
  const preprocessing: Preprocessing = {
    classes: [...classes],
    height,
    width,
    inputSize,
    mean: [...mean],
    deviation: [...deviation],
    decoding,
  };
  const metadata = { [preprocessingKey]: JSON.stringify(preprocessing) };
  return weightsToSafetensors(weights, model.layer, metadata, { checksum: true });
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
  try {
    return preprocessingShape.parse(JSON.parse(text));
  } catch (cause) {
    const problem =
      cause instanceof z.ZodError ? `${cause.issues[0]!.path.join(".")} ${cause.issues[0]!.message}` : reasonOf(cause);
    throw new TrainerError("ERR_WEIGHTS", `${where}, metadata "${preprocessingKey}": ${problem}.`, { cause });
  }
}

/** Whether nothing of a run stays: it failed before its first step, and has no checkpoint within that step to resume from. */
export const leavesNothing = (folder: string, { steps, stopReason }: Pick<SummaryRecord, "steps" | "stopReason">) =>
  steps === 0 && stopReason.startsWith("failed") && listCheckpoints(join(folder, runFiles.checkpoints)).length === 0;

/**
 * Writes a run's folder; does nothing for a run that has none, and keeps nothing of one that `leavesNothing`. Failures end the
 * run: ERR_IO with the path.
 */
export function createRunRecord({
  logEvery = 1,
  source,
  id,
  inference,
  processes,
  rateAt,
}: RunRecordOptions = {}): RunRecord {
  let metrics: MetricsLog | undefined;
  let before: Before | undefined;
  let failed: unknown; // of the metrics
  const plugin: Plugin = {
    name: "run-record",
    options: { logEvery },
    apply({ hooks, events }) {
      let run: FitContext | undefined;
      let weights: Uint8Array | undefined;
      const early: { message: string }[] = []; // before there was a file for them
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

      const begin = (started: FitContext, environment = environmentOf(started, processes?.())): void => {
        run = started;
        const config = configRecord(started.config);
        const hash = configHash(config);
        const extended = before ? extensionsOf(before.record, config, started.progress.step) : [];
        const record: RunConfigRecord = {
          ...config,
          ...(config.maxTime !== undefined && { repeatable: false as const }),
          id,
          inference: inference?.(),
          source,
          environment,
          dataset: dataRecord(started.data),
          configs: [...new Set([...(before?.record.configs ?? []).filter((each) => each !== hash), hash])],
          ...(extended.length > 0 && { extended }),
        };
        writeFileAtomic(inFolder("config"), toCheckedJson(record));
      };
      // First: a run that is killed while others start is one that can be resumed.
      hooks.onFitStart.tap({ stage: "first" }, (started) => {
        if (started.folder !== undefined && !before) begin(started);
      });
      // Last: where another plugin refuses to start, the run that was to be resumed is unchanged.
      hooks.onFitStart.tap({ stage: "last" }, (started) => {
        if (started.folder === undefined) return;
        if (before) {
          const environment = environmentOf(started, processes?.());
          compareEnvironment(before, environment, (message) => events.emit("warning", { message }));
          const { step } = started.progress;
          const change = extensionsOf({ ...before.record, extended: [] }, started.config, step)[0];
          if (change && rateAt) events.emit("warning", { message: extensionNote(change, started.progress, rateAt) });
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
        if (failed && summary.stopReason.includes(reasonOf(failed))) return; // already reported
        if (leavesNothing(run.folder!, summary)) {
          for (const name of ["config", "metrics"] as const) system.rmSync(inFolder(name), { force: true });
          return;
        }
        report();
        // An interrupted run ends without choosing: its last weights are what there is.
        weights ??= weightsFile(run, run.weights());
        writeFileAtomic(inFolder("weights"), weights);
        const record: SummaryRecord = fitEndRecord(summary);
        writeFileAtomic(inFolder("summary"), toCheckedJson(record));
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
    resumes: (run) => (before = run),
    metrics: {
      get bytes() {
        return metrics?.bytes ?? 0;
      },
      sync() {
        if (failed) throw failed; // a run that resumed from here would lack a line
        metrics?.sync();
      },
      cut(bytes) {
        if (failed) throw failed;
        metrics?.cut(bytes);
      },
    },
  };
}

function environmentOf({ backend }: FitContext, processes = 1): Environment {
  const { name, version, threads } = backend;
  return {
    backend: name,
    backendVersion: version,
    threads,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() || undefined,
    fitloop: packageVersion(),
    ...(processes > 1 ? { processes } : {}),
  };
}

/**
 * Compares data with that of the run that is resumed or repeated.
 *
 * @throws TrainerError ERR_DATA for other classes; ERR_RESUME for other images, unless they are allowed
 */
export function compareData(
  { record, allowed }: Pick<Before, "record" | "allowed">,
  data: Data,
  warn: (message: string) => void,
): void {
  if (record.dataset) mustHaveClasses(record.dataset.classes, data);
  const change = dataChange(record.dataset, data);
  if (change === undefined) return;
  if (allowed.includes("data")) return warn(`${change} This is allowed by --allow-change data.`);
  throw new TrainerError(
    "ERR_RESUME",
    `${change} Images that were trained on may now be validation images. ` +
      "Restore the data, or allow it with --allow-change data.",
  );
}

/**
 * Compares the environment with that of the run that is resumed. The same bits are promised for the same backend, threads, Node
 * and machine. Another backend is refused, unless it is allowed; any other difference is a warning.
 *
 * @throws TrainerError ERR_RESUME
 */
function compareEnvironment({ record, allowed }: Before, now: Environment, warn: (message: string) => void): void {
  const was = record.environment;
  if (!was) return;
  if (was.backend !== now.backend && !allowed.includes("backend")) {
    throw new TrainerError(
      "ERR_RESUME",
      `The run was made on ${was.backend}, and would now resume on ${now.backend}, whose numbers differ. ` +
        `Make ${was.backend} available, or allow it with --allow-change backend.`,
    );
  }
  const known = (Object.keys(now) as (keyof Environment)[]).filter((key) => was[key] !== undefined); // by its version
  const differing = known.filter((key) => was[key] !== now[key]);
  if (differing.length === 0) return;
  const list = differing.map((key) => `${key} ${was[key]} -> ${now[key]}`).join(", ");
  warn(`The run resumes in another environment (${list}): the last bits may differ from an uninterrupted run's.`);
}

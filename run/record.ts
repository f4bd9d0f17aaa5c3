/**
 * What a run writes about itself: config, metrics, the final weights and the summary. A plugin like any other,
 * but one that `train` adds and no config names.
 */

import { cpus } from "node:os";
import { join } from "node:path";
import { configRecord } from "../core/config/config.js";
import { reasonOf } from "../core/errors.js";
import { system, writeFileAtomic } from "../core/files.js";
import type { SummaryRecord } from "../core/loop/events.js";
import type { Plugin, PluginContext } from "../core/loop/plugin.js";
import { fitEndRecord } from "../core/loop/summary.js";
import type { FitContext, FitSummary, Progress } from "../core/loop/types.js";
import { packageVersion } from "../core/package.js";
import { compareEnvironment, configHash } from "./changes.js";
import { toCheckedJson } from "./checked-json.js";
import { listCheckpoints } from "./checkpoints.js";
import { dataRecord } from "./data-record.js";
import { extensionNote, extensionsOf } from "./extension.js";
import { type Before, type ConfigSource, type Environment, type RunConfigRecord, runFiles } from "./files.js";
import { type MetricsLog, openMetrics } from "./metrics.js";
import { weightsFile } from "./preprocessing.js";

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

export interface RunRecord {
  readonly plugin: Plugin;
  /** Makes the run resume an earlier one; called before it starts. */
  resumes(before: Before): void;
  /** Of the run under way: their length, and that it is flushed. */
  readonly metrics: Pick<MetricsLog, "bytes" | "sync" | "cut">;
}

/** Whether nothing of a run stays: it failed before its first step, and has no checkpoint within that step to resume from. */
export const leavesNothing = (folder: string, { steps, stopReason }: Pick<SummaryRecord, "steps" | "stopReason">) =>
  steps === 0 && stopReason.startsWith("failed") && listCheckpoints(join(folder, runFiles.checkpoints)).length === 0;

/**
 * Writes a run's folder; does nothing for a run that has none, and keeps nothing of one that `leavesNothing`. Failures end the
 * run: ERR_IO with the path.
 */
export function createRunRecord({ logEvery = 1, processes, rateAt, ...about }: RunRecordOptions = {}): RunRecord {
  const metrics = createMetricsFile();
  let before: Before | undefined;
  const plugin: Plugin = {
    name: "run-record",
    options: { logEvery },
    apply({ hooks, events }) {
      let run: FitContext | undefined;
      let weights: Uint8Array | undefined;
      const begin = (started: FitContext, environment: Environment): void => {
        run = started;
        writeFileAtomic(pathIn(run, "config"), toCheckedJson(recordOf(run, environment, about, before?.record)));
      };
      const writeEarlier = logEvents(events, metrics, logEvery);
      // First: a run that is killed while others start is one that can be resumed.
      hooks.onFitStart.tap({ stage: "first" }, (started) => {
        if (started.folder !== undefined && !before) begin(started, environmentOf(started, processes?.()));
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
        const problem = metrics.open(started, { from: before?.metricsBytes });
        writeEarlier();
        if (problem) events.emit("warning", { message: problem });
      });
      hooks.onStep.tap(metrics.mustBeWhole);
      hooks.onEpochEnd.tap(metrics.mustBeWhole);
      hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
        if (run && evaluation.purpose === "final") weights = weightsFile(run, evaluation.weights);
        return evaluation;
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        if (run) writeEnd(run, summary, weights, metrics);
      });
      return { dispose: metrics.close };
    },
  };
  return { plugin, resumes: (run) => (before = run), metrics };
}

/** @throws where the run has lost its folder */
const pathIn = (run: FitContext, name: keyof typeof runFiles): string => join(run.folder!, runFiles[name]);

type MetricsFile = ReturnType<typeof createMetricsFile>;

/** The metrics of the run under way. After a line that could not be written, no other is. */
function createMetricsFile() {
  let run: FitContext | undefined;
  let file: MetricsLog | undefined;
  let failure: unknown;
  const attempt = (action: () => void): void => {
    try {
      action();
    } catch (cause) {
      failure = cause;
    }
  };
  const mustBeWhole = (): undefined => {
    if (failure) throw failure;
  };
  return {
    /** @returns what is wrong with the lines that are there */
    open(started: FitContext, options: { from: number | undefined }): string | undefined {
      run = started;
      file = openMetrics(pathIn(run, "metrics"), options);
      return file.problem;
    },
    isOpen: () => file !== undefined,
    /** For listeners, which must not throw: the next hook does, by `mustBeWhole`. */
    append(event: string, value: object): void {
      if (!file || failure) return;
      attempt(() => {
        pathIn(run!, "metrics");
        file!.append(event, value);
      });
    },
    attempt,
    /** What `attempt` and `append` caught. */
    failure: () => failure,
    mustBeWhole,
    get bytes() {
      return file?.bytes ?? 0;
    },
    sync() {
      mustBeWhole(); // a run that resumed from here would lack a line
      file?.sync();
    },
    cut(bytes: number) {
      mustBeWhole();
      file?.cut(bytes);
    },
    close() {
      file?.close();
      file = undefined;
    },
  };
}

/** @returns a function that writes the warnings from before the file was open */
function logEvents(events: PluginContext["events"], metrics: MetricsFile, logEvery: number): () => void {
  const early: { message: string }[] = [];
  events.on("step", (event) => {
    if (event.step % logEvery === 0) metrics.append("step", event);
  });
  events.on("epoch:end", (event) => metrics.append("epoch:end", event));
  events.on("diverged", (event) => metrics.append("diverged", event));
  events.on("warning", (event) => {
    if (metrics.isOpen()) metrics.append("warning", event);
    else early.push(event);
  });
  return () => {
    for (const event of early.splice(0)) metrics.append("warning", event);
  };
}

/** `config.resolved.json`, as the run begins. */
function recordOf(
  run: FitContext,
  environment: Environment,
  { id, inference, source }: Pick<RunRecordOptions, "id" | "inference" | "source">,
  before: RunConfigRecord | undefined,
): RunConfigRecord {
  const config = configRecord(run.config);
  const hash = configHash(config);
  const extended = before ? extensionsOf(before, config, run.progress.step) : [];
  return {
    ...config,
    ...(config.maxTime !== undefined && { repeatable: false as const }),
    id,
    inference: inference?.(),
    source,
    environment,
    dataset: dataRecord(run.data),
    configs: [...new Set([...(before?.configs ?? []).filter((each) => each !== hash), hash])],
    ...(extended.length > 0 && { extended }),
  };
}

/** Weights and summary; an interrupted run ends without choosing weights: its last ones are what there is. */
function writeEnd(run: FitContext, summary: FitSummary, chosen: Uint8Array | undefined, metrics: MetricsFile): void {
  metrics.attempt(() => pathIn(run, "summary"));
  const failure = metrics.failure();
  if (failure && summary.stopReason.includes(reasonOf(failure))) return; // already reported
  if (leavesNothing(run.folder!, summary)) {
    for (const name of ["config", "metrics"] as const) system.rmSync(pathIn(run, name), { force: true });
    return;
  }
  metrics.mustBeWhole();
  writeFileAtomic(pathIn(run, "weights"), chosen ?? weightsFile(run, run.weights()));
  const record: SummaryRecord = fitEndRecord(summary);
  writeFileAtomic(pathIn(run, "summary"), toCheckedJson(record));
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

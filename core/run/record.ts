/**
 * What a run keeps of itself: config, metrics, the final weights and the summary. A plugin like any other, but one that
 * the command line adds and no config names.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { configRecord } from "../config/config.js";
import type { SummaryRecord } from "../loop/events.js";
import type { Plugin } from "../loop/plugin.js";
import { fitEndRecord } from "../loop/summary.js";
import type { Run } from "../loop/types.js";
import { weightsToSafetensors } from "../nn/weights-file.js";
import { ioError, writeAll, writeFileAtomic } from "./files.js";
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

/** Writes a run's folder; does nothing for a run that has none. Failures end the run: ERR_IO with the path. */
export function runRecord({ logEvery = 1 }: RunRecordOptions = {}): Plugin {
  return {
    name: "run-record",
    options: { logEvery },
    apply({ hooks, events }) {
      let run: Run | undefined;
      let metrics: number | undefined;
      let failed: unknown;
      let weights: Uint8Array | undefined;

      const append = (event: string, value: object): void => {
        if (metrics === undefined || failed) return;
        try {
          writeAll(metrics, Buffer.from(`${toJson({ event, ...value })}\n`));
        } catch (cause) {
          // A listener must not throw; the next hook does.
          failed = ioError(`Writing ${join(run!.folder!, runFiles.metrics)}`, cause);
        }
      };
      const report = (): undefined => {
        if (failed) throw failed;
      };

      hooks.onFitStart.tap({ stage: "first" }, (started) => {
        if (started.folder === undefined) return;
        run = started;
        writeFileAtomic(join(started.folder, runFiles.config), toJson(configRecord(started.config), 2) + "\n");
        metrics = openSync(join(started.folder, runFiles.metrics), "a");
      });
      events.on("step", (event) => {
        if (event.step % logEvery === 0) append("step", event);
      });
      events.on("epoch:end", (event) => append("epoch:end", event));
      hooks.onStep.tap(report);
      hooks.onEpochEnd.tap(report);
      hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
        if (run && evaluation.purpose === "final") weights = weightsToSafetensors(evaluation.weights, run.model.layer);
        return evaluation;
      });
      hooks.onFitEnd.tap({ stage: "last" }, (summary) => {
        if (!run) return;
        report();
        // An interrupted run ends without choosing: its last weights are what there is.
        weights ??= weightsToSafetensors(run.weights(), run.model.layer);
        writeFileAtomic(join(run.folder!, runFiles.weights), weights);
        const record: SummaryRecord = fitEndRecord(summary);
        writeFileAtomic(join(run.folder!, runFiles.summary), `${toJson(record, 2)}\n`);
      });
      return {
        dispose() {
          if (metrics !== undefined) closeSync(metrics);
          metrics = undefined;
        },
      };
    },
  };
}

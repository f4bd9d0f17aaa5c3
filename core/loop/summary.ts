/** From what the loop knows to what a record holds. */

import type { ResolvedConfig } from "../config/config.js";
import { countParameters } from "../nn/layer.js";
import type { EpochRecord, MetricsRecord, SummaryRecord } from "./events.js";
import type { HookName } from "./hooks.js";
import type { Position } from "./position.js";
import type { Session } from "./session.js";
import type { TapCost } from "./tap.js";
import type { EpochSummary, FitSummary, Metrics, Progress } from "./types.js";

/**
 * The run so far, as `onFitEnd` and `summary.json` have it.
 *
 * @param since where this process took it up: the costs are measured from there
 */
export function fitSummary(
  config: ResolvedConfig,
  { backend, parameters }: Session,
  costs: ReadonlyMap<string, ReadonlyMap<HookName, TapCost>>,
  { epoch, step, seconds, samplesSeen, validation, best }: Position,
  { test, stopReason }: Pick<FitSummary, "test" | "stopReason">,
  since: Pick<Position, "step" | "seconds">,
): FitSummary {
  return {
    preset: config.name,
    seed: config.seed,
    backend: backend.name,
    backendVersion: backend.version,
    precision: config.precision,
    threads: backend.threads,
    parameters: countParameters(parameters.values()),
    epochs: epoch,
    steps: step,
    seconds,
    validation,
    test,
    best,
    stopReason,
    imagesPerSecond: seconds > 0 ? samplesSeen / seconds : 0,
    costs: pluginCosts(costs, step - since.step, seconds - since.seconds),
  };
}

/** The epoch under way, once its last optimizer step is done. */
export function epochSummary(
  progress: Progress,
  { sums: { samples, loss, correct, seconds }, learningRate }: Position,
  whole: boolean,
  validation: Metrics | undefined,
): EpochSummary {
  return {
    ...progress,
    whole,
    learningRate,
    train: { loss: loss / samples, top1: correct / samples },
    validation,
    seconds,
    imagesPerSecond: seconds > 0 ? samples / seconds : 0, // cut short before its first step
  };
}

/** Metrics without their raw outputs, for JSON. */
export function metricsRecord(metrics: Metrics | undefined): MetricsRecord | undefined {
  if (!metrics) return undefined;
  const { outputs: _, ...record } = metrics;
  return record;
}

export function epochRecord(summary: EpochSummary): EpochRecord {
  return { ...summary, validation: metricsRecord(summary.validation) };
}

export function fitEndRecord(summary: FitSummary): SummaryRecord {
  return { ...summary, validation: metricsRecord(summary.validation), test: metricsRecord(summary.test) };
}

/** What each plugin's taps cost: milliseconds an optimizer step, and the share of the training time. */
function pluginCosts(
  costs: ReadonlyMap<string, ReadonlyMap<HookName, TapCost>>,
  steps: number,
  seconds: number,
): FitSummary["costs"] {
  return Object.fromEntries(
    [...costs].map(([plugin, byHook]) => {
      const milliseconds = [...byHook.values()].reduce((sum, cost) => sum + cost.milliseconds, 0);
      return [
        plugin,
        {
          millisecondsPerStep: steps > 0 ? milliseconds / steps : 0,
          share: seconds > 0 ? milliseconds / 1000 / seconds : 0,
        },
      ];
    }),
  );
}

/** From what the loop knows to what a record holds. */
import type { EpochRecord, MetricsRecord, SummaryRecord } from "./events.js";
import type { HookName, TapCost } from "./hooks.js";
import type { EpochSummary, FitSummary, Metrics } from "./types.js";

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
export function pluginCosts(
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

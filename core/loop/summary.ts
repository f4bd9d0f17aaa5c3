/** From what the loop knows to what a record holds. */
import type { EpochRecord, MetricsRecord, SummaryRecord } from "./events.js";
import type { HookName, TapCost } from "./hooks.js";
import type { ResolvedConfig } from "../config/config.js";
import type { Session } from "./session.js";
import type { EpochSummary, FitSummary, Metrics } from "./types.js";

/** What the loop counts as it goes. */
interface Counted extends Pick<FitSummary, "epochs" | "steps" | "seconds" | "stopReason" | "validation" | "test"> {
  /** Training pictures, once for each time they were seen. */
  samplesSeen: number;
}

/** The run so far, as `onFitEnd` and `summary.json` have it. */
export function fitSummary(
  config: ResolvedConfig,
  { backend, parameters }: Session,
  costs: ReadonlyMap<string, ReadonlyMap<HookName, TapCost>>,
  { samplesSeen, ...counted }: Counted,
): FitSummary {
  const { seconds, steps } = counted;
  const sizes = [...parameters.values()].map(({ shape }) => shape.reduce((product, side) => product * side, 1));
  return {
    preset: config.name,
    seed: config.seed,
    backend: backend.name,
    backendVersion: backend.version,
    precision: config.precision,
    threads: backend.threads,
    parameters: sizes.reduce((sum, size) => sum + size, 0),
    ...counted,
    imagesPerSecond: seconds > 0 ? samplesSeen / seconds : 0,
    costs: pluginCosts(costs, steps, seconds),
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

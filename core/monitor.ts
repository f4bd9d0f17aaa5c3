/** What "best" means in a run: one figure of its epochs, and which way it is better. */
import { TrainerError } from "./errors.js";
import type { Metric } from "./metrics.js";
import { suggestion } from "./options.js";

export interface Monitor {
  /** "loss", "top1" or "top5" of validation, "train-loss", or the name of one of the config's metrics. */
  readonly metric: string;
  readonly direction: "lower" | "higher";
}

/** The best epoch so far. */
export interface BestEpoch extends Monitor {
  readonly value: number;
  /** From 0. */
  readonly epoch: number;
  /** Optimizer steps done at its end. */
  readonly step: number;
}

/** Figures that every run has. All but the last are of validation. */
const builtIn = { loss: "lower", top1: "higher", top5: "higher", "train-loss": "lower" } as const;

/**
 * Completes a monitor: a metric's own direction, where none is given.
 *
 * @param who names the option in an error
 * @throws TrainerError ERR_OPTION for a metric that no evaluation of the run has
 */
export function monitorOf(
  given: string | { readonly metric: string; readonly direction?: Monitor["direction"] | undefined },
  metrics: readonly Metric[],
  who = "monitor",
): Monitor {
  const { metric, direction = undefined } = typeof given === "string" ? { metric: given } : given;
  const own = metrics.find(({ name }) => name === metric);
  if (!own && !Object.hasOwn(builtIn, metric)) {
    const known = [...Object.keys(builtIn), ...metrics.map(({ name }) => name)];
    throw new TrainerError(
      "ERR_OPTION",
      `${who} watches "${metric}", which no evaluation has${suggestion(metric, known)}. ` +
        "Add it to the config's metrics, or watch another.",
    );
  }
  const usual = own ? (own.better ?? "higher") : builtIn[metric as keyof typeof builtIn];
  return { metric, direction: direction ?? usual };
}

/**
 * Refuses to watch validation in a run without validation images; known once the data is loaded, which may have its own.
 *
 * @param who names what watches in the error, and `option` what chooses the metric
 * @throws TrainerError ERR_OPTION
 */
export function mustHaveValidation(who: string, metric: string, images: ArrayLike<unknown>, option = "metric"): void {
  if (metric === "train-loss" || images.length > 0) return;
  throw new TrainerError(
    "ERR_OPTION",
    `${who} watches the ${monitorName(metric)}, and the run has no validation images. Set holdout above 0 (a class needs two images), or ${option}: "train-loss".`,
  );
}

/** What a monitor reads of an epoch. */
interface EpochFigures {
  readonly whole: boolean;
  readonly train: { readonly loss: number };
  readonly validation?:
    | {
        readonly loss: number;
        readonly top1: number;
        readonly top5: number;
        readonly more?: Readonly<Record<string, number>> | undefined;
      }
    | undefined;
}

/** The figure of an epoch; undefined without one. A partial epoch has no comparable training loss. */
export function monitored({ whole, train, validation }: EpochFigures, metric: string): number | undefined {
  if (metric === "train-loss") return whole ? train.loss : undefined;
  if (metric === "loss" || metric === "top1" || metric === "top5") return validation?.[metric];
  return validation?.more?.[metric];
}

/** Whether a value is a new best: better by more than `minDelta`. An equal value is none, or a flat curve would never stop; nor is one that is not finite. */
export function improves(
  value: number | undefined,
  best: number | undefined,
  direction: Monitor["direction"],
  minDelta = 0,
): value is number {
  if (value === undefined || !Number.isFinite(value)) return false;
  if (best === undefined) return true;
  return direction === "higher" ? value > best + minDelta : value < best - minDelta;
}

/** "validation loss", "training loss", "validation macro-recall". */
export const monitorName = (metric: string): string =>
  metric === "train-loss" ? "training loss" : `validation ${{ top1: "top-1", top5: "top-5" }[metric] ?? metric}`;

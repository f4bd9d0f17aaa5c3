/** When to stop: pure, so that every sequence of figures can be tested without training. */
import type { EpochSummary } from "../../core/index.js";

export const metrics = ["loss", "top1", "train-loss"] as const;

/** The figure of an epoch; undefined where none was taken. An epoch cut short has no training loss to compare. */
export function figureOf(summary: EpochSummary, metric: (typeof metrics)[number]): number | undefined {
  if (metric !== "train-loss") return summary.validation?.[metric];
  return summary.whole ? summary.train.loss : undefined;
}

export interface Rule {
  readonly patience: number;
  readonly minDelta: number;
  /** Whether a larger figure is better. */
  readonly rising: boolean;
}

/** A cyclic schedule's first cycle in epochs, and how many times longer each next one is. */
export interface Cycles {
  readonly firstCycle: number;
  readonly factor: number;
}

export interface Patience {
  /** Figures in a row that were no improvement and counted. */
  readonly wait: number;
  readonly best: { readonly value: number; readonly epoch: number } | null;
  /** Epoch of the last figure, -1 before the first. */
  readonly seen: number;
}

export const fresh: Patience = { wait: 0, best: null, seen: -1 };

/** An equal figure is no improvement, or a flat curve would never stop; one that is not finite never is. */
export function improves(value: number, best: Patience["best"], { minDelta, rising }: Rule): boolean {
  if (!Number.isFinite(value)) return false;
  if (best === null) return true;
  return rising ? value > best.value + minDelta : value < best.value - minDelta;
}

/**
 * Takes in the figure of an ended epoch, counted from 0. After a restart every figure is worse for a while, so beside
 * a cyclic schedule only the second half of a cycle counts, and each cycle counts from zero.
 */
export function next(state: Patience, value: number, epoch: number, rule: Rule, cycles?: Cycles): Patience {
  if (improves(value, state.best, rule)) return { wait: 0, best: { value, epoch }, seen: epoch };
  if (!cycles) return { ...state, wait: state.wait + 1, seen: epoch };
  let start = 0;
  let length = cycles.firstCycle;
  while (epoch >= start + length) {
    start += length;
    length *= cycles.factor;
  }
  const waited = state.seen < start ? 0 : state.wait;
  return { ...state, wait: waited + Number(2 * (epoch - start) >= length), seen: epoch };
}

/** Stops at the first figure that makes the count reach the patience; patience 0 is as 1. */
export function exhausted({ wait }: Patience, { patience }: Rule): boolean {
  return wait >= Math.max(1, patience);
}

/** When to stop: pure functions, so that tests need no training. */
import type { EpochSummary } from "../../core/index.js";

/** Figures that every run has, and which way is better. All but the last are of validation. */
export const builtIn = { loss: "lower", top1: "higher", top5: "higher", "train-loss": "lower" } as const;

/** The figure of an epoch; undefined without one. A partial epoch has no comparable training loss. */
export function figureOf({ validation, whole, train }: EpochSummary, metric: string): number | undefined {
  if (metric === "train-loss") return whole ? train.loss : undefined;
  if (metric === "loss" || metric === "top1" || metric === "top5") return validation?.[metric];
  return validation?.more?.[metric];
}

export interface Rule {
  readonly patience: number;
  readonly minDelta: number;
  /** Whether a larger value is better. */
  readonly rising: boolean;
}

/** A cyclic schedule: epochs of its first cycle, and the factor from one cycle to the next. */
export interface Cycles {
  readonly firstCycle: number;
  readonly factor: number;
}

export interface Patience {
  /** Evaluations in a row without improvement. */
  readonly wait: number;
  readonly best: { readonly value: number; readonly epoch: number } | null;
  /** Epoch of the last evaluation, -1 before the first. */
  readonly seen: number;
}

export const fresh: Patience = { wait: 0, best: null, seen: -1 };

/** An equal value is no improvement, or a flat curve would never stop; nor is a value that is not finite. */
export function improves(value: number, best: Patience["best"], { minDelta, rising }: Rule): boolean {
  if (!Number.isFinite(value)) return false;
  if (best === null) return true;
  return rising ? value > best.value + minDelta : value < best.value - minDelta;
}

/**
 * Adds the metric of an epoch, counted from 0. After a restart metrics are worse for a while, so with a cyclic schedule
 * only the second half of a cycle counts, and each cycle counts from zero.
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

/** Whether the count has reached the patience. Patience 0 behaves like 1. */
export function exhausted({ wait }: Patience, { patience }: Rule): boolean {
  return wait >= Math.max(1, patience);
}

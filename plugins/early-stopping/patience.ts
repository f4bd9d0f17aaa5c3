/** When to stop: pure functions, so that tests need no training. */
import { cycleAt, improves, type Monitor } from "../../core/index.js";

export interface Rule {
  readonly patience: number;
  readonly minDelta: number;
  readonly direction: Monitor["direction"];
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

/**
 * Adds the metric of an epoch, counted from 0. After a restart metrics are worse for a while, so with a cyclic schedule
 * only the second half of a cycle counts, and each cycle counts from zero.
 */
export function next(state: Patience, value: number, epoch: number, rule: Rule, cycles?: Cycles): Patience {
  if (improves(value, state.best?.value, rule.direction, rule.minDelta))
    return { wait: 0, best: { value, epoch }, seen: epoch };
  if (!cycles) return { ...state, wait: state.wait + 1, seen: epoch };
  const { start, length } = cycleAt(epoch, cycles.firstCycle, cycles.factor);
  const waited = state.seen < start ? 0 : state.wait;
  return { ...state, wait: waited + Number(2 * (epoch - start) >= length), seen: epoch };
}

/** Whether the count has reached the patience. Patience 0 behaves like 1. */
export function exhausted({ wait }: Patience, { patience }: Rule): boolean {
  return wait >= Math.max(1, patience);
}

/** Learning rates that PyTorch's schedulers gave (tests/golden/torch/schedules.py), and the comparison with them. */

import { readFileSync } from "node:fs";
import { expect } from "vitest";

interface GoldenSchedules {
  peak: number;
  cosineRestarts: { firstCycle: number; factor: number; minimum: number; rates: number[] }[];
  cosine: { steps: number; minimum: number; rates: number[] }[];
  oneCycle: {
    steps: number;
    warmUp: number;
    anneal: string;
    divide: number;
    divideLast: number;
    rates: number[];
  }[];
  warmUp: { steps: number; rates: number[] }[];
  trapezoid: { steps: number; rising: number; falling: number; end: number; rates: number[] }[];
  polynomial: { steps: number; power: number; rates: number[] }[];
  step: { every: number; gamma: number; rates: number[] }[];
  plateau: {
    patience: number;
    factor: number;
    threshold: number;
    cooldown: number;
    minimum: number;
    rising: boolean;
    metrics: number[];
    rates: number[];
  }[];
  multiStep: { at: number[]; gamma: number; rates: number[] }[];
}
export const golden = JSON.parse(
  readFileSync(new URL("../golden/torch/schedules.json", import.meta.url), "utf8"),
) as GoldenSchedules;

/** PyTorch computes some schedules step by step, so its last digits drift; ours are closed forms. */
export function expectRates(rates: readonly number[], expected: readonly number[]): void {
  expect(rates).toHaveLength(expected.length);
  rates.forEach((rate, step) => expect(Math.abs(rate - expected[step]!), `step ${step}`).toBeLessThan(1e-14));
}

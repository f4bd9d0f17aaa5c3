/** The figures of evaluations that pages show. */
import type { MetricsRecord } from "../core/loop/events.js";
import type { RunHistory } from "./run-history.js";

/** Names of the config's metrics that evaluations have, and of figures that plugins add. */
export const moreNames = (all: readonly (MetricsRecord | undefined)[]): string[] => [
  ...new Set(all.flatMap((metrics) => Object.keys(figuresIn(metrics)))),
];

/** A record's more figures; "NaN" and infinities are text in JSON. What else a damaged file has there is left out. */
export function figuresIn(metrics: MetricsRecord | undefined): Record<string, number | string> {
  const entries: [string, unknown][] = Object.entries(metrics?.more ?? {});
  const isFigure = (value: unknown): value is number | string =>
    typeof value === "number" || (typeof value === "string" && /^(NaN|-?Infinity)$/.test(value));
  return Object.fromEntries(entries.filter((entry): entry is [string, number | string] => isFigure(entry[1])));
}

/** Figures of evaluations that are finite numbers: loss, top-1, or one of `more`. */
export function evaluated(history: RunHistory, figure: string): { x: number[]; y: number[] } {
  const points = history.epochs.flatMap(({ step, validation }): [number, number][] => {
    const value = figure === "loss" || figure === "top1" ? validation?.[figure] : figuresIn(validation)[figure];
    return typeof value === "number" && Number.isFinite(value) ? [[step, value]] : [];
  });
  return { x: points.map(([step]) => step), y: points.map(([, value]) => value) };
}

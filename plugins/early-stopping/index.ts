/** Early stopping (Prechelt 1998): ends a run that no longer improves, and evaluates its best weights. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type EpochSummary, type Evaluation, type ResolvedConfig, type Run } from "../../core/index.js";
import { exhausted, fresh, next, type Cycles, type Patience } from "./patience.js";

const options = z.strictObject({
  patience: z.int().min(0).default(5).describe("evaluations in a row without improvement that stop the run"),
  metric: z.enum(["loss", "top1", "train-loss"]).default("loss").describe("what must improve; the first two of validation"),
  minDelta: z.number().min(0).default(0).describe("how much better a figure must be to be an improvement"),
});

/** The figure of an epoch; undefined where none was taken. An epoch cut short has no training loss to compare. */
export function figureOf(summary: EpochSummary, metric: z.output<typeof options>["metric"]): number | undefined {
  if (metric !== "train-loss") return summary.validation?.[metric];
  return summary.step < (summary.epoch + 1) * summary.stepsPerEpoch ? undefined : summary.train.loss;
}

/** The cyclic schedule of a run, known by its name as a record would: plugins do not import each other. */
const cyclesOf = ({ plugins }: ResolvedConfig): Cycles | undefined =>
  plugins.find(({ name }) => name === "cosine-restarts")?.options as Cycles | undefined;

export const earlyStopping = definePlugin({
  name: "early-stopping",
  summary: "Stops when validation no longer improves, and ends with the best weights",
  options,
  check({ patience, metric }, config) {
    if (metric !== "train-loss" && config.holdout === 0) {
      const text = `early-stopping watches validation ${metric}, and holdout is 0. Set holdout, or metric: "train-loss".`;
      return [{ level: "error", text }];
    }
    if (!cyclesOf(config)) return [];
    const text =
      "early-stopping counts epochs only in the second half of each cycle of cosine-restarts, and a restart sets the " +
      `count to zero. With patience ${patience}, no cycle shorter than ${2 * Math.max(1, patience)} epochs can stop the run.`;
    return [{ level: "note", text }];
  },
  apply({ patience, metric, minDelta }, { hooks, config }) {
    const rule = { patience, minDelta, rising: metric === "top1" };
    let state: Patience = fresh;
    let source = "current";
    let best: ReadonlyMap<string, tf.Tensor> = new Map();
    let run: Run | undefined;
    let evaluated: Evaluation | undefined;
    const replace = (weights: ReadonlyMap<string, tf.Tensor>): void => {
      for (const value of best.values()) value.dispose();
      best = weights;
    };

    hooks.onFitStart.tap((started) => void (run = started));
    // Last: what is judged, and so what is kept, are the weights that an evaluation really used, averaged ones too.
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      if (evaluation.purpose === "validation") evaluated = evaluation;
      if (evaluation.purpose !== "final" || !state.best) return evaluation;
      const of = source === "current" ? "" : `, ${source}`;
      return { ...evaluation, weights: best, source: `best of epoch ${state.best.epoch + 1}${of}` };
    });
    hooks.onEpochEnd.tap((summary) => {
      const value = figureOf(summary, metric);
      const before = state;
      if (value !== undefined) state = next(state, value, summary.epoch, rule, cyclesOf(config));
      if (state.best !== before.best) {
        source = evaluated?.source ?? "current";
        replace(new Map([...(evaluated?.weights ?? run!.weights())].map(([name, value]) => [name, tf.keep(value.clone())])));
      }
      evaluated = undefined;
    });
    hooks.shouldStop.tap(() =>
      exhausted(state, rule) ? `early stopping: ${metric} did not improve in ${state.wait} evaluations` : undefined,
    );
    return {
      save: () => ({ values: { ...state, source }, tensors: best }),
      load({ values, tensors }) {
        ({ source, ...state } = values as Patience & { source: string });
        replace(tensors ?? new Map());
      },
      dispose: () => replace(new Map()),
    };
  },
});

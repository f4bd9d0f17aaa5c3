/** Early stopping (Prechelt 1998): ends a run that no longer improves, and restores its best weights. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import {
  definePlugin,
  type Evaluation,
  type FitContext,
  type Monitor,
  monitored,
  monitorOf,
  mustHaveValidation,
  type RunConfig,
} from "../../core/index.js";
import { type Cycles, exhausted, fresh, next, type Patience } from "./patience.js";

const options = z.strictObject({
  patience: z.int().min(0).default(5).describe("evaluations without improvement before the run stops"),
  metric: z
    .string()
    .optional()
    .describe(
      "what must improve: loss, top1 or top5 of validation, train-loss, or a metric; the config's monitor if left out",
    ),
  direction: z.enum(["lower", "higher"]).optional().describe("which way is better; as the metric says if left out"),
  minDelta: z.number().min(0).default(0).describe("least change that counts as an improvement"),
});

/** The run's cyclic schedule, found by name: plugins do not import each other. */
const cyclesOf = ({ plugins }: RunConfig): Cycles | undefined =>
  plugins.find(({ name }) => name === "cosine-restarts")?.options as Cycles | undefined;

/** A metric of the plugin's own, or the run's. @throws TrainerError ERR_OPTION for one that no evaluation has */
function watched(
  { metric, direction }: { metric?: string | undefined; direction?: Monitor["direction"] | undefined },
  { metrics, monitor }: RunConfig,
): Monitor {
  if (metric !== undefined) return monitorOf({ metric, direction }, metrics, "early-stopping");
  return { metric: monitor.metric, direction: direction ?? monitor.direction };
}

type Kept = ReadonlyMap<string, tf.Tensor>;

/** Clones share their values with the originals and outlive them: the loop replaces weights at every step. */
const copied = (weights: Kept): Kept => new Map([...weights].map(([name, value]) => [name, tf.keep(value.clone())]));

export const earlyStopping = definePlugin({
  name: "early-stopping",
  summary: "Stops when validation no longer improves, and restores the best weights",
  options,
  check({ patience, ...given }, config) {
    watched(given, config); // refuses an unknown metric
    if (!cyclesOf(config)) return [];
    const text =
      "early-stopping counts epochs only in the second half of each cycle of cosine-restarts, and a restart resets " +
      `the count: with patience ${patience}, no cycle under ${2 * Math.max(1, patience)} epochs can stop the run.`;
    return [{ level: "hint", text }];
  },
  apply({ patience, minDelta, ...given }, { hooks, config }) {
    const { metric, direction } = watched(given, config);
    const rule = { patience, minDelta, direction };
    let state: Patience = fresh;
    let source = "current";
    let best: Kept = new Map();
    let run: FitContext | undefined;
    let evaluated: Evaluation | undefined;
    const replace = (weights: Kept): void => {
      for (const value of best.values()) value.dispose();
      best = weights;
    };

    hooks.onFitStart.tap((started) => {
      mustHaveValidation("early-stopping", metric, started.validationIndices);
      run = started;
    });
    // Last: judges and stores the weights that the evaluation really used, which may be averaged.
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      if (evaluation.purpose === "validation") evaluated = evaluation;
      if (evaluation.purpose !== "final" || !state.best) return evaluation;
      const of = source === "current" ? "" : `, ${source}`;
      return { ...evaluation, weights: best, source: `best of epoch ${state.best.epoch + 1}${of}` };
    });
    hooks.onEpochEnd.tap((summary) => {
      const value = monitored(summary, metric);
      const before = state;
      if (value !== undefined) state = next(state, value, summary.epoch, rule, cyclesOf(config));
      if (state.best !== before.best) {
        source = evaluated?.source ?? "current";
        replace(copied(evaluated?.weights ?? run!.weights()));
      }
      evaluated = undefined;
    });
    hooks.shouldStop.tap(() => {
      if (!exhausted(state, rule)) return undefined;
      return `early stopping: ${metric} did not improve in ${state.wait} evaluations`;
    });
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

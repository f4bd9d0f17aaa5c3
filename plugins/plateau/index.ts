/** Plateau schedule: lowers the learning rate when a metric no longer improves. Part of a checkpoint, so it resumes. */
import { z } from "zod";
import { definePlugin, monitored, monitorOf, mustHaveValidation } from "../../core/index.js";

const options = z.strictObject({
  metric: z
    .string()
    .default("loss")
    .describe("loss, top1 or top5 of validation, train-loss, or a metric of the config"),
  direction: z.enum(["lower", "higher"]).optional().describe("which way is better; as the metric says by default"),
  factor: z.number().positive().lt(1).default(0.1).describe("factor at each drop"),
  patience: z.int().min(0).default(10).describe("evaluations without improvement before the rate drops"),
  threshold: z.number().min(0).default(1e-4).describe("least relative change that counts as an improvement"),
  cooldown: z.int().min(0).default(0).describe("evaluations after a drop that do not count"),
  minimum: z.number().min(0).default(0).describe("lowest rate"),
});
type Options = z.output<typeof options>;

export interface Plateau {
  readonly best: number | null;
  /** Evaluations in a row without improvement. */
  readonly bad: number;
  readonly cooling: number;
  readonly drops: number;
}

export const noPlateau: Plateau = { best: null, bad: 0, cooling: 0, drops: 0 };

/** The state after one more evaluation: `ReduceLROnPlateau` with a relative threshold. */
export function observed(
  state: Plateau,
  value: number,
  { patience, threshold, cooldown, rising }: Pick<Options, "patience" | "threshold" | "cooldown"> & { rising: boolean },
): Plateau {
  const bound = (best: number): number => best * (rising ? 1 + threshold : 1 - threshold);
  const better = state.best === null || (rising ? value > bound(state.best) : value < bound(state.best));
  const best = better && Number.isFinite(value) ? value : state.best;
  const cooling = Math.max(0, state.cooling - 1);
  const bad = state.cooling > 0 || best !== state.best ? 0 : state.bad + 1;
  return bad > patience
    ? { best, bad: 0, cooling: cooldown, drops: state.drops + 1 }
    : { best, bad, cooling, drops: state.drops };
}

export const plateau = definePlugin({
  name: "plateau",
  summary: "Lowers the learning rate when a metric no longer improves",
  options,
  slot: "schedule",
  check({ metric }, { metrics }) {
    const names = ["loss", "top1", "top5", "train-loss", ...metrics.map(({ name }) => name)];
    if (names.includes(metric)) return [];
    const text = `plateau watches "${metric}", which no evaluation has. Known: ${names.join(", ")}.`;
    return [{ level: "error", text }];
  },
  apply(given, { hooks, config }) {
    const { metric, direction, factor, minimum } = given;
    const rule = {
      ...given,
      rising: monitorOf({ metric, direction }, config.metrics, "plateau").direction === "higher",
    };
    let state = noPlateau;
    hooks.onFitStart.tap(({ validationIndices }) => mustHaveValidation("plateau", metric, validationIndices));
    hooks.onEpochEnd.tap((summary) => {
      const value = monitored(summary, metric);
      if (value !== undefined) state = observed(state, value, rule);
    });
    hooks.resolveLearningRate.tap((rate) =>
      state.drops === 0 ? rate : Math.max(minimum, rate * factor ** state.drops),
    );
    return {
      save: () => ({ values: state }),
      load: ({ values }) => void (state = values as Plateau),
    };
  },
});

/** Layer-wise learning rates and gradual unfreezing (Howard and Ruder 2018). */
import { z } from "zod";
import { definePlugin, type ParamGroup, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  form: z
    .enum(["factor", "absolute"])
    .default("factor")
    .describe('"factor": bottom and head multiply the learning rate; "absolute": they are learning rates'),
  bottom: z.number().positive().optional().describe("value at the input; default 0.1 as a factor, 1e-5 as a rate"),
  head: z.number().positive().optional().describe("value at the classifier; default 1 as a factor, 1e-3 as a rate"),
  freeze: z
    .union([z.int().min(0), z.literal("backbone")])
    .default(0)
    .describe(
      'number of frozen stages, from the input, or "backbone": all but the classifier; includes norm statistics',
    ),
  freezeNorms: z
    .boolean()
    .default(false)
    .describe("freeze norms and biases outside of the head for the whole run, running statistics included"),
  unfreezeEvery: z.int().min(0).default(0).describe("epochs between two stages that unfreeze; 0 keeps them frozen"),
});

const defaults = { factor: { bottom: 0.1, head: 1 }, absolute: { bottom: 1e-5, head: 1e-3 } } as const;

/** The rate at `depth` (from 0) of `stages`: geometric from `bottom` to `head`, fastai's `even_mults`. */
export function rateAt(depth: number, stages: number, bottom: number, head: number): number {
  return depth === stages - 1 ? head : bottom * (head / bottom) ** (depth / (stages - 1));
}

/** Stages that are frozen in an epoch (from 0). */
export function frozenAt(epoch: number, { freeze, unfreezeEvery }: { freeze: number; unfreezeEvery: number }): number {
  return unfreezeEvery === 0 ? freeze : Math.max(0, freeze - Math.floor(epoch / unfreezeEvery));
}

/** Number of stages of a model, from the depths of its groups: 0 at the input, the head is the last. */
const stagesOf = (groups: readonly ParamGroup[]): number => 1 + Math.max(...groups.map(({ depth }) => depth));

export const differentialLr = definePlugin({
  name: "differential-lr",
  summary: "Smaller learning rates for early layers, or frozen early layers",
  options,
  apply({ form, freeze, freezeNorms, unfreezeEvery, ...given }, { hooks, config }) {
    const { bottom = defaults[form].bottom, head = defaults[form].head } = given;
    // A rate becomes a factor of the run's own, so that a schedule moves all groups alike. Factors scale the
    // update itself: Adam's steps would not change with scaled gradients.
    const unit = form === "absolute" ? config.learningRate : 1;
    hooks.resolveParamGroups.tap((groups, { epoch }) => {
      const stages = stagesOf(groups);
      const most = freeze === "backbone" ? stages - 1 : freeze;
      if (most >= stages) {
        const text = `expected "freeze" below the model's ${stages} stages, got ${most}. The head must train.`;
        throw new TrainerError("ERR_OPTION", text);
      }
      const frozen = frozenAt(epoch, { freeze: most, unfreezeEvery });
      return groups.map((group) => ({
        ...group,
        rateFactor: (group.rateFactor * rateAt(group.depth, stages, bottom, head)) / unit,
        trains:
          group.trains &&
          group.depth >= frozen &&
          !(freezeNorms && group.decayFactor === 0 && group.depth < stages - 1),
      }));
    });
  },
});

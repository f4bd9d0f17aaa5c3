/** Learning rates by kind of parameter: norm shifts and biases move many times as fast as kernels (Page 2019; Jordan 2024). */
import { z } from "zod";
import { definePlugin, type ParamGroup, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  factor: z.number().positive().default(64).describe("factor on the learning rate of norms and biases"),
  except: z.array(z.string()).default([]).describe("norms and biases that keep their rate, by name"),
  decay: z.boolean().default(false).describe("norms and biases decay too, in a step by as much as kernels"),
});
type Options = z.output<typeof options>;

/** The group as it is, or norms and biases with the faster rate: those in `except` are a group of their own. */
export function faster(group: ParamGroup, { factor, except, decay }: Options): ParamGroup[] {
  if (group.decayFactor > 0) return [group];
  const excepted = group.parameters.filter((name) => except.includes(name));
  const rest = group.parameters.filter((name) => !except.includes(name));
  // Decay is multiplied by the rate: divided by the factor it stays what it is for kernels.
  return [
    { ...group, name: `${group.name}, kept`, parameters: excepted, decayFactor: Number(decay) },
    { ...group, parameters: rest, rateFactor: group.rateFactor * factor, decayFactor: decay ? 1 / factor : 0 },
  ].filter(({ parameters }) => parameters.length > 0);
}

export const biasLr = definePlugin({
  name: "bias-lr",
  summary: "Multiplies the learning rate of norms and biases",
  options,
  apply(given, { hooks }) {
    hooks.resolveParamGroups.tap((groups) => {
      const known = groups.flatMap(({ parameters, decayFactor }) => (decayFactor > 0 ? [] : parameters));
      const unknown = given.except.find((name) => !known.includes(name));
      if (unknown !== undefined) {
        const text = `Plugin "bias-lr" expected norms and biases in "except", got "${unknown}". The model has ${known.join(", ")}.`;
        throw new TrainerError("ERR_OPTION", text);
      }
      return groups.flatMap((group) => faster(group, given));
    });
  },
});

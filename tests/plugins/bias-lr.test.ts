import { expect, it } from "vitest";
import type { ParamGroup } from "../../core/index.js";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { biasLr } from "../../plugins/bias-lr/index.js";

const group = (decayFactor: number, parameters: string[]): ParamGroup => ({
  name: decayFactor > 0 ? "kernels" : "norms",
  depth: 0,
  parameters,
  rateFactor: 0.5,
  trains: true,
  decayFactor,
});
const groups = [group(1, ["conv.weight"]), group(0, ["whiten.bias", "bn.bias"])];
const resolved = (options: Parameters<typeof biasLr>[0]): Record<string, [number, number]> => {
  const { call, dispose } = mountPlugin(biasLr(options));
  const next = call.resolveParamGroups(groups, progressAt());
  dispose();
  return Object.fromEntries(
    next.flatMap(({ parameters, rateFactor, decayFactor }) =>
      parameters.map((name) => [name, [rateFactor, decayFactor]]),
    ),
  );
};

it("multiplies the rate of what does not decay, on top of what other plugins set", () => {
  expect(resolved({ factor: 64 })).toEqual({ "conv.weight": [0.5, 1], "whiten.bias": [32, 0], "bn.bias": [32, 0] });
});

it("leaves the rate of parameters that it is told, and lets norms decay by as much as kernels in a step", () => {
  // Jordan: decay of a group is wd · batch / k / its rate, so that rate times decay is the same for all.
  const found = resolved({ factor: 64, except: ["whiten.bias"], decay: true });
  expect(found).toEqual({ "conv.weight": [0.5, 1], "whiten.bias": [0.5, 1], "bn.bias": [32, 1 / 64] });
  expect(new Set(Object.values(found).map(([rate, decay]) => rate * decay))).toEqual(new Set([0.5]));
});

it("refuses a name that no norm or bias has", () => {
  expect(() => resolved({ except: ["conv.weight"] })).toThrow(
    'Plugin "bias-lr" expected norms and biases in "except", got "conv.weight". The model has whiten.bias, bn.bias.',
  );
});

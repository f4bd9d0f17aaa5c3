import { expect, it } from "vitest";
import type { ParamGroup } from "../../core/index.js";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { biasLr } from "../../plugins/bias-lr/index.js";

it("multiplies the rate of what does not decay, on top of what other plugins set", () => {
  const { call, dispose } = mountPlugin(biasLr({ factor: 64 }));
  const group = (decays: boolean): ParamGroup => ({
    name: decays ? "kernels" : "norms",
    depth: 0,
    parameters: [decays ? "conv.weight" : "bn.bias"],
    rateFactor: 0.5,
    trains: true,
    decays,
  });
  const factors = call
    .resolveParamGroups([group(true), group(false)], progressAt())
    .map(({ rateFactor }) => rateFactor);
  expect(factors).toEqual([0.5, 32]);
  dispose();
});

import { expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { step, steppedEvery } from "../../plugins/step/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

it.each(golden.step)("is PyTorch's every $every", ({ every, gamma, rates }) => {
  expectRates(
    rates.map((_, epoch) => steppedEvery(epoch, peak, every, gamma)),
    rates,
  );
});

it("drops at the first step of an epoch", () => {
  const { call } = mountPlugin(step({ every: 2, gamma: 0.1 }), { config: { epochs: 10 } });
  expect(call.resolveLearningRate(1, progressAt({ step: 39 }))).toBe(1);
  expect(call.resolveLearningRate(1, progressAt({ step: 40 }))).toBe(0.1);
});

import { describe, expect, it } from "vitest";
import { mountPlugin, progressAt } from "../../core/testing/index.js";
import { multiStep, stepped } from "../../plugins/multi-step/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("multi-step", () => {
  it.each(golden.multiStep)("is PyTorch's with milestones $at", ({ at, gamma, rates }) => {
    expectRates(
      rates.map((_, epoch) => stepped(epoch, peak, at, gamma)),
      rates,
    );
  });

  it("drops at the first step of an epoch and names milestones that never come", () => {
    const { call, hints } = mountPlugin(multiStep({ milestones: [2, 50], gamma: 0.1 }), {
      config: { epochs: 10 },
    });
    expect(call.resolveLearningRate(1, progressAt({ step: 39 }))).toBe(1);
    expect(call.resolveLearningRate(1, progressAt({ step: 40 }))).toBe(0.1);
    expect(hints).toEqual([expect.stringContaining("never reaches 50")]);
  });
});

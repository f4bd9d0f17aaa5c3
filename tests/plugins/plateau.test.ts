import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, type Plugin } from "../../core/index.js";
import { fitWeights, microConfig, mountPlugin } from "../../core/testing/index.js";
import { noPlateau, observed, plateau } from "../../plugins/plateau/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";
import { withValidation } from "../support/with-validation.js";

const { peak } = golden;

describe("plateau", () => {
  beforeAll(async () => void (await loadBackend()));

  it.each(golden.plateau)("is PyTorch's: patience $patience, cooldown $cooldown", (rule) => {
    let state = noPlateau;
    const rates = rule.metrics.map((value) => {
      state = observed(state, value, rule);
      return Math.max(rule.minimum, peak * rule.factor ** state.drops);
    });
    expectRates(rates, rule.rates);
  });

  it("drops the rate of the epochs after a plateau", async () => {
    const seen: number[] = [];
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply: ({ hooks }) => void hooks.onEpochEnd.tap(({ learningRate }) => void seen.push(learningRate)),
    };
    // No change is large enough: every second epoch without improvement drops the rate.
    const plugins = [plateau({ patience: 1, threshold: 1, factor: 0.5 }), watch];
    await fitWeights(microConfig({ learningRate: 0.01, epochs: 6, plugins }));
    expect(seen).toEqual([0.01, 0.01, 0.01, 0.005, 0.005, 0.0025]);
  });

  it("refuses a metric that nothing has, and validation where there is none", async () => {
    expect(() => mountPlugin(plateau({ metric: "los" }), { config: { holdout: 0.1 } })).toThrow(
      'plateau watches "los"',
    );
    const fit = (metric: string, data = microConfig().data) =>
      fitWeights(microConfig({ data, epochs: 1, holdout: 0, plugins: [plateau({ metric })] }));
    await expect(fit("loss")).rejects.toThrow(
      'plateau watches the validation loss, and the run has no validation images. Set holdout above 0 (a class needs two images), or metric: "train-loss".',
    );
    await fit("train-loss");
    await fit("loss", withValidation());
  });
});

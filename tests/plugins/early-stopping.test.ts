import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Evaluation, type FitContext, loadBackend, type Plugin, plainView } from "../../core/index.js";
import { epochEnd, fitWeights, microConfig, mountPlugin, progressAt, weightsHash } from "../../core/testing/index.js";
import { cosineRestarts } from "../../plugins/cosine-restarts/index.js";
import { earlyStopping } from "../../plugins/early-stopping/index.js";
import { type Cycles, exhausted, fresh, next, type Rule } from "../../plugins/early-stopping/patience.js";
import { withValidation } from "../support/with-validation.js";

beforeAll(async () => void (await loadBackend()));

/** The epoch, from 0, after which a sequence of figures stops; undefined when it never does. */
function stopsAt(figures: readonly number[], rule: Partial<Rule>, cycles?: Cycles): number | undefined {
  const full = { patience: 2, minDelta: 0, direction: "lower" as const, ...rule };
  let state = fresh;
  for (const [epoch, figure] of figures.entries()) {
    state = next(state, figure, epoch, full, cycles);
    if (exhausted(state, full)) return epoch;
  }
  return undefined;
}

describe("patience", () => {
  it.each([
    [0, [3, 2, 2.5, 1], 2],
    [1, [3, 2, 2.5, 1], 2],
    [2, [3, 2, 2.5, 1, 1.5, 1.5], 5],
    [2, [3, 4, 2, 4, 5], 4],
    [2, [1], undefined],
    [3, [5, 4, 3, 2, 1], undefined],
  ])("patience %i on %j stops after epoch %j", (patience, figures, epoch) => {
    expect(stopsAt(figures, { patience })).toBe(epoch);
  });

  it("takes an equal figure for no improvement, so that a flat curve stops", () => {
    expect(stopsAt([1, 1, 1], {})).toBe(2);
  });

  it("asks for more than minDelta, and for larger figures where they are better", () => {
    expect(stopsAt([1, 0.95, 0.92], { minDelta: 0.1 })).toBe(2);
    expect(stopsAt([1, 0.95, 0.89, 0.85, 0.8], { minDelta: 0.1 })).toBe(4);
    expect(stopsAt([0.1, 0.2, 0.3, 0.3, 0.2], { direction: "higher" })).toBe(4);
  });

  it("never takes NaN or infinity for the best, the first figure included", () => {
    expect(stopsAt([NaN, NaN], {})).toBe(1);
    expect(stopsAt([Infinity, 5, NaN, 4, NaN, NaN], {})).toBe(5);
    expect(next(fresh, NaN, 0, { patience: 2, minDelta: 0, direction: "higher" }).best).toBeNull();
  });

  describe("beside restarts", () => {
    const cycles = { firstCycle: 4, factor: 2 };
    it("counts only the second half of each cycle, and a restart sets the count to zero", () => {
      // Cycles: epochs 0-3, 4-11. Nothing improves after epoch 0; 2, 3 count, then 8, 9, 10, 11.
      expect(stopsAt(new Array(12).fill(1), { patience: 3 }, cycles)).toBe(10);
      expect(stopsAt(new Array(12).fill(1), { patience: 2 }, cycles)).toBe(3);
      expect(stopsAt(new Array(12).fill(1), { patience: 5 }, cycles)).toBeUndefined();
    });

    it("sets the count to zero also when the restart's own epochs had no figure", () => {
      const rule = { patience: 3, minDelta: 0, direction: "lower" } as const;
      let state = next(fresh, 1, 0, rule, cycles);
      for (const epoch of [2, 3, 10, 11]) state = next(state, 1, epoch, rule, cycles);
      expect(state.wait).toBe(2);
    });
  });
});

describe("early-stopping", () => {
  const weightsOf = (value: number): Map<string, tf.Tensor> => new Map([["w", tf.tensor1d([value])]]);
  const evaluation = (
    purpose: Evaluation["purpose"],
    weights: Map<string, tf.Tensor>,
    source = "current",
  ): Evaluation => ({ purpose, weights, source, views: [plainView] });

  it("keeps the best weights although the live ones are disposed, and evaluates them at the end", async () => {
    const before = tf.memory().numTensors;
    const { call, dispose } = mountPlugin(earlyStopping({ patience: 2 }));
    let live = weightsOf(0);
    const losses = [3, 1, 2, 2.5];
    const stops: (string | undefined)[] = [];
    for (const [epoch, loss] of losses.entries()) {
      live.get("w")!.dispose();
      live = weightsOf(epoch);
      expect(call.beforeEvaluate(evaluation("validation", live), progressAt()).weights).toBe(live);
      const summary = epochEnd(epoch, { loss });
      await call.onEpochEnd(summary);
      stops.push(call.shouldStop(summary));
    }
    expect(stops).toEqual([undefined, undefined, undefined, "early stopping: loss did not improve in 2 evaluations"]);
    const final = call.beforeEvaluate(evaluation("final", live), progressAt());
    expect(final).toMatchObject({ source: "best of epoch 2", purpose: "final", views: [plainView] });
    expect(final.weights.get("w")!.dataSync()[0]).toBe(1);
    live.get("w")!.dispose();
    dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it("keeps what was evaluated, averaged weights too, and says so", async () => {
    const { call, dispose } = mountPlugin(earlyStopping());
    const [averaged, live] = [weightsOf(7), weightsOf(8)];
    call.beforeEvaluate(evaluation("validation", averaged, "averaged"), progressAt());
    await call.onEpochEnd(epochEnd(0, { loss: 1 }));
    const final = call.beforeEvaluate(evaluation("final", live), progressAt());
    expect(final.source).toBe("best of epoch 1, averaged");
    expect(final.weights.get("w")!.dataSync()[0]).toBe(7);
    dispose();
  });

  it("counts evaluations, not epochs without one", async () => {
    const { call } = mountPlugin(earlyStopping({ patience: 1 }));
    call.beforeEvaluate(evaluation("validation", weightsOf(1)), progressAt());
    await call.onEpochEnd(epochEnd(0, { loss: 1 }));
    await call.onEpochEnd(epochEnd(1));
    expect(call.shouldStop(epochEnd(1))).toBeUndefined();
    await call.onEpochEnd(epochEnd(2, { loss: 2 }));
    expect(call.shouldStop(epochEnd(2))).toMatch(/^early stopping/);
  });

  it("goes on in the middle of its wait after save and load", async () => {
    const plugin = earlyStopping({ patience: 2 });
    const [first, second] = [mountPlugin(plugin), mountPlugin(plugin)];
    first.call.beforeEvaluate(evaluation("validation", weightsOf(5)), progressAt());
    await first.call.onEpochEnd(epochEnd(0, { loss: 1 }));
    await first.call.onEpochEnd(epochEnd(1, { loss: 2 }));
    const { values, tensors } = first.instance.save!();
    second.instance.load!({
      values: JSON.parse(JSON.stringify(values)),
      tensors: new Map([...tensors!].map(([name, value]) => [name, value.clone()])),
    });
    first.dispose();
    await second.call.onEpochEnd(epochEnd(2, { loss: 2 }));
    expect(second.call.shouldStop(epochEnd(2))).toMatch(/^early stopping/);
    const final = second.call.beforeEvaluate(evaluation("final", weightsOf(0)), progressAt());
    expect([final.source, final.weights.get("w")!.dataSync()[0]]).toEqual(["best of epoch 1", 5]);
    second.dispose();
  });

  it("stops a run, and its figures are those of the best epoch's weights, running statistics included", async () => {
    const losses = [0.9, 0.5, 0.8, 0.7, 0.6];
    const seen: string[] = [];
    let final: Evaluation | undefined;
    let finalHash = "";
    const script: Plugin = {
      name: "script",
      options: {},
      apply({ hooks }) {
        let run: FitContext;
        hooks.onFitStart.tap((started) => void (run = started));
        hooks.afterEvaluate.tap((metrics, { epoch }) => ({ ...metrics, loss: losses[epoch] ?? 9 }));
        hooks.onEpochEnd.tap(() => void seen.push(weightsHash(run.weights())));
        hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
          if (evaluation.purpose !== "final") return evaluation;
          final = evaluation;
          finalHash = weightsHash(evaluation.weights);
          return evaluation;
        });
      },
    };
    const { summary } = await fitWeights(microConfig({ epochs: 9, plugins: [earlyStopping({ patience: 2 }), script] }));
    expect(summary).toMatchObject({
      epochs: 4,
      stopReason: "early stopping: loss did not improve in 2 evaluations",
    });
    expect(summary.test?.source).toBe("best of epoch 2");
    expect(final!.weights.has("block.bn.running_var")).toBe(true);
    expect(finalHash).toBe(seen[1]);
  });

  it("ends with the best weights also when it never fired", async () => {
    const { summary } = await fitWeights(
      microConfig({ epochs: 2, learningRate: 2, plugins: [earlyStopping({ patience: 50 })] }),
    );
    expect(summary.stopReason).toBe("epochs");
    expect(summary.test?.source).toMatch(/^best of epoch \d$/);
    expect(summary.validation?.source).toBe(summary.test?.source);
  });

  it("says how it counts beside restarts, and refuses a figure that the run does not have", async () => {
    const { hints } = mountPlugin(earlyStopping(), { config: { epochs: 30, plugins: [cosineRestarts()] } });
    expect(hints).toEqual([expect.stringMatching(/second half of each cycle.*no cycle under 10 epochs/)]);
    expect(() => mountPlugin(earlyStopping({ metric: "los" }))).toThrow('early-stopping watches "los"');
    const fit = (metric: string | undefined, data = microConfig().data) =>
      fitWeights(microConfig({ data, epochs: 1, holdout: 0, plugins: [earlyStopping({ metric })] }));
    await expect(fit(undefined)).rejects.toThrow(
      'early-stopping watches the validation loss, and the run has no validation images. Set holdout above 0 (a class needs two images), or metric: "train-loss".',
    );
    await fit("train-loss");
    await fit(undefined, withValidation());
  });
});

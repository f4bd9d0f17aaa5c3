import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { adamw, loadBackend, type ParamGroup, type Plugin, sgd } from "../../core/index.js";
import type { Given } from "../../core/parts.js";
import { fitWeights, microConfig, mountPlugin, progressAt } from "../../core/testing/index.js";
import { differentialLr, frozenAt, rateAt } from "../../plugins/differential-lr/index.js";

beforeAll(async () => void (await loadBackend()));

const groups: ParamGroup[] = Array.from({ length: 6 }, (_, depth) => ({
  name: `stage ${depth}`,
  depth,
  parameters: [`w${depth}`],
  rateFactor: 1,
  trains: true,
  decayFactor: 1,
}));

describe("differential-lr", () => {
  it("is geometric over the stages, fastai's even_mults", () => {
    const rates = [0, 1, 2, 3, 4].map((depth) => rateAt(depth, 5, 1e-5, 1e-3));
    [1e-5, 3.16227766e-5, 1e-4, 3.16227766e-4, 1e-3].forEach((rate, depth) =>
      expect(rates[depth]! / rate).toBeCloseTo(1, 8),
    );
    expect(rateAt(0, 1, 0.1, 1)).toBe(1); // a model of one stage is all head
  });

  it("gives rates as factors of the run's own: 1e-5 at the input, 1e-3 at the head", () => {
    const { call } = mountPlugin(differentialLr({ form: "absolute" }), { config: { learningRate: 0.02 } });
    const factors = call.resolveParamGroups(groups, progressAt()).map(({ rateFactor }) => rateFactor);
    expect(factors[0]! * 0.02).toBeCloseTo(1e-5, 12);
    expect(factors[5]! * 0.02).toBeCloseTo(1e-3, 12);
    expect(factors[3]! / factors[2]!).toBeCloseTo(100 ** (1 / 5), 8);
    const relative = mountPlugin(differentialLr()).call.resolveParamGroups(groups, progressAt());
    expect([relative[0]!.rateFactor, relative[5]!.rateFactor]).toEqual([0.1, 1]);
  });

  it("multiplies what another plugin set", () => {
    const half: Plugin = {
      name: "half",
      options: {},
      apply: ({ hooks }) => hooks.resolveParamGroups.tap((all) => all.map((group) => ({ ...group, rateFactor: 0.5 }))),
    };
    const { call } = mountPlugin(differentialLr(), { config: { plugins: [half] } });
    expect(call.resolveParamGroups(groups, progressAt())[5]!.rateFactor).toBe(0.5);
  });

  it("freezes stages, and lets one more go every few epochs, from the head down", () => {
    const table = [0, 1, 2, 3, 4, 5, 6, 7].map((epoch) => frozenAt(epoch, { freeze: 3, unfreezeEvery: 2 }));
    expect(table).toEqual([3, 3, 2, 2, 1, 1, 0, 0]);
    expect(frozenAt(100, { freeze: 3, unfreezeEvery: 0 })).toBe(3);
    const { call } = mountPlugin(differentialLr({ freeze: 2, unfreezeEvery: 1 }));
    const trained = [0, 1, 2].map((epoch) =>
      call.resolveParamGroups(groups, progressAt({ epoch })).map(({ trains }) => trains),
    );
    expect(trained[0]).toEqual([false, false, true, true, true, true]);
    expect(trained[1]).toEqual([false, true, true, true, true, true]);
    expect(trained[2]).toEqual([true, true, true, true, true, true]);
    const backbone = mountPlugin(differentialLr({ freeze: "backbone", unfreezeEvery: 2 }));
    const trainedIn = (epoch: number): boolean[] =>
      backbone.call.resolveParamGroups(groups, progressAt({ epoch })).map(({ trains }) => trains);
    expect(trainedIn(0)).toEqual([false, false, false, false, false, true]);
    expect(trainedIn(2)).toEqual([false, false, false, false, true, true]);
    const all = mountPlugin(differentialLr({ freeze: 6 }));
    expect(() => all.call.resolveParamGroups(groups, progressAt())).toThrow(
      'expected "freeze" below the model\'s 6 stages, got 6',
    );
  });

  it("freezes norms and biases outside of the head, and trains the kernels", () => {
    const { call } = mountPlugin(differentialLr({ freezeNorms: true }));
    const both = groups.flatMap((group) => [
      group,
      { ...group, name: `${group.name} norms`, parameters: [`b${group.depth}`], decayFactor: 0 },
    ]);
    const trained = call.resolveParamGroups(both, progressAt()).filter(({ trains }) => trains);
    expect(trained.map(({ name }) => name)).toEqual([...groups.map(({ name }) => name), "stage 5 norms"]);
  });

  it("keeps the statistics of frozen norms", async () => {
    const plugins = [differentialLr({ freezeNorms: true })];
    const { weights } = await fitWeights(microConfig({ epochs: 1, plugins }));
    expect(new Set(weights["block.bn.running_mean"])).toEqual(new Set([0]));
    expect(new Set(weights["block.bn.weight"])).toEqual(new Set([1]));
  });

  // Scaling gradients instead would leave Adam's updates as they are.
  it.each([sgd({ momentum: 0.9 }), adamw({ weightDecay: 0 })])(
    "scales each stage's update itself, under $name",
    async (optimizer) => {
      const updates = async (plugins: Given<Plugin>[]): Promise<Map<string, number>> => {
        const first = new Map<string, tf.Tensor>();
        const sizes = new Map<string, number>();
        const watch: Plugin = {
          name: "watch",
          options: {},
          apply: ({ hooks }) => {
            hooks.onFitStart.tap({ stage: "last" }, ({ weights }) => {
              for (const [name, value] of weights()) first.set(name, tf.keep(value.clone()));
            });
            hooks.onStep.tap(({ weights }) => {
              for (const [name, value] of first) {
                sizes.set(name, tf.norm(tf.sub(weights.get(name)!, value)).dataSync()[0]!);
              }
            });
            return { dispose: () => tf.dispose([...first.values()]) };
          },
        };
        await fitWeights(microConfig({ optimizer, maxSteps: 1, plugins: [...plugins, watch] }));
        return sizes;
      };
      const plain = await updates([]);
      const scaled = await updates([differentialLr({ bottom: 0.04, head: 1 })]);
      const ratio = (name: string): number => scaled.get(name)! / plain.get(name)!;
      expect(ratio("stem.weight")).toBeCloseTo(0.04, 3);
      expect(ratio("block.conv.weight")).toBeCloseTo(0.2, 3);
      expect(ratio("fc.weight")).toBeCloseTo(1, 3);
    },
  );

  it("leaves frozen stages as they are, running statistics included, until their turn comes", async () => {
    const history: Record<string, number[]>[] = [];
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply({ hooks }) {
        let weights: (() => ReadonlyMap<string, tf.Tensor>) | undefined;
        const look = (): void =>
          void history.push(Object.fromEntries([...weights!()].map(([name, value]) => [name, [...value.dataSync()]])));
        hooks.onFitStart.tap((run) => {
          weights = () => run.weights();
          look();
        });
        hooks.onEpochEnd.tap(look);
      },
    };
    await fitWeights(microConfig({ epochs: 3, plugins: [differentialLr({ freeze: 2, unfreezeEvery: 1 }), watch] }));
    const moved = (name: string): boolean[] =>
      [1, 2, 3].map((epoch) => String(history[epoch]![name]) !== String(history[epoch - 1]![name]));
    expect(moved("fc.weight")).toEqual([true, true, true]);
    expect(moved("block.conv.weight")).toEqual([false, true, true]);
    expect(moved("block.bn.running_mean")).toEqual([false, true, true]);
    expect(moved("block.bn.running_var")).toEqual([false, true, true]);
    expect(moved("stem.weight")).toEqual([false, false, true]);
  });
});

import type * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { alphaAt, lookahead } from "../../plugins/lookahead/index.js";

beforeAll(async () => void (await loadBackend()));

type Values = Readonly<Record<string, readonly number[]>>;

/** Records the weights before the first step and after every step. */
function recorder(): { plugin: Plugin; states: Values[] } {
  const states: Values[] = [];
  const read = (weights: ReadonlyMap<string, tf.Tensor>): void =>
    void states.push(Object.fromEntries([...weights].map(([name, value]) => [name, [...value.dataSync()]])));
  const plugin: Plugin = {
    name: "recorder",
    options: {},
    apply({ hooks }) {
      hooks.onFitStart.tap(({ weights }) => read(weights()));
      hooks.onStep.tap(({ weights }) => read(weights));
    },
  };
  return { plugin, states };
}

/**
 * Algorithm 1 in float64, and the form of timm and PyTorch: slow.add_(fast - slow, alpha), fast.copy_(slow). Without
 * momentum or a norm's statistics a step is fast - rate · gradient; the gradients come from the run's own differences.
 */
it.each<[number, { alpha: number; endAlpha?: number; endSlow?: boolean }]>([
  [1, { alpha: 0.5 }],
  [2, { alpha: 0.5 }],
  [3, { alpha: 0.8 }],
  [5, { alpha: 1, endAlpha: 1 - 0.95 ** 5, endSlow: true }],
])("every %i steps, %o: slow and fast weights as a plain reimplementation", async (every, given) => {
  const { plugin, states } = recorder();
  const before: Values[] = []; // fast weights, as the optimizer left them
  const spy: Plugin = {
    name: "spy",
    options: {},
    apply: ({ hooks }) =>
      hooks.afterStep.tap({ stage: "first" }, (weights) => {
        before.push(Object.fromEntries([...weights].map(([name, value]) => [name, [...value.dataSync()]])));
        return weights;
      }),
  };
  const config = microConfig({ epochs: 4, capture: false, plugins: [plugin, spy, lookahead({ every, ...given })] });
  (await new Trainer(config).fit()).dispose();
  expect(before).toHaveLength(states.length - 1);
  const slow = new Map(Object.entries(states[0]!).map(([name, values]) => [name, [...values]]));
  before.forEach((fast, step) => {
    const ends = given.endSlow === true && step + 1 === before.length;
    const synchronises = (step + 1) % every === 0 || ends;
    const { endAlpha } = given;
    // Jordan's share of the slow weights, 0.95 ^ 5 (t / T) ^ 3, then 1 after the last step.
    const ramp = 1 - 0.95 ** 5 * ((step + 1) / before.length) ** 3;
    const alpha = ends && (step + 1) % every !== 0 ? 0 : endAlpha === undefined ? given.alpha : ramp;
    for (const [name, values] of Object.entries(fast)) {
      const own = slow.get(name)!;
      if (synchronises) values.forEach((value, at) => (own[at] = own[at]! + alpha * (value - own[at]!)));
      const wanted = synchronises ? own : values;
      const found = states[step + 1]![name]!;
      const off = Math.max(
        ...found.map((value, at) => Math.abs(value - wanted[at]!) / Math.max(1e-3, Math.abs(wanted[at]!))),
      );
      expect(off, `${name} after step ${step + 1}`).toBeLessThan(1e-5);
    }
  });
});

it("knows its step size at every step of a run of 12", () => {
  const options = { every: 5, alpha: 1, endAlpha: 0.25, power: 2, endSlow: true };
  const sizes = Array.from({ length: 12 }, (_, step) => alphaAt(step, 12, options));
  const at = (done: number): number => 1 - 0.75 * (done / 12) ** 2;
  const none = undefined;
  expect(sizes).toEqual([none, none, none, none, at(5), none, none, none, none, at(10), none, 0]);
  expect(alphaAt(11, 12, { ...options, endSlow: false })).toBeUndefined();
  expect(alphaAt(4, 12, { every: 5, alpha: 0.5, power: 3, endSlow: false })).toBe(0.5);
});

it("moves running statistics too, and slows training where alpha is small", async () => {
  const plain = await fitWeights(microConfig());
  const slowed = await fitWeights(microConfig({ plugins: [lookahead({ every: 1, alpha: 0 })] }));
  const initial = recorder();
  await fitWeights(microConfig({ maxSteps: 1, plugins: [initial.plugin] }));
  expect(slowed.weights, "alpha 0 undoes every step").toEqual(initial.states[0]);
  expect(slowed.weights["block.bn.running_mean"]).not.toEqual(plain.weights["block.bn.running_mean"]);
});

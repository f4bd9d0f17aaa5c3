import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Given, loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { earlyStopping, ema, lookahead, prune } from "../../plugins/index.js";
import { chooseChannels, remaining, shareAt } from "../../plugins/prune/choose.js";
import { magnitudes, masked, taylor } from "../../plugins/prune/sources.js";
import { micro, mustResumeFromEverywhere } from "../support/traced.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

it("shareAt grows by the cube and ends at the target", () => {
  const wanted = [0.5 * (1 - 8 / 27), 0.5 * (1 - 1 / 27), 0.5];
  for (const [index, share] of wanted.entries()) expect(shareAt(0.5, index, 3)).toBeCloseTo(share, 12);
  expect(shareAt(0.7, 0, 1)).toBe(0.7);
});

describe("chooseChannels", () => {
  // Image with 3 channels -> 8 -> 4 -> 10 classes; a multiply-add for each pair of channels.
  const groups = [3, 8, 4, 10].map((channels) => ({ channels }));
  const work = (sizes: readonly number[]): number =>
    sizes.slice(1).reduce((sum, size, at) => sum + size * sizes[at]!, 0);
  const candidate = (at: number, importance: number[], gone: number[] = []) => ({
    at,
    importance: Float64Array.from(importance),
    gone: new Set(gone),
  });
  const wide = [5, 1, 7, 3, 8, 2, 6, 4];
  const narrow = [0.1, 9, 9, 0.2];

  it("takes the least important, the same share of each layer", () => {
    const chosen = chooseChannels(
      groups,
      [candidate(1, wide), candidate(2, narrow)],
      { share: 0.5, of: "channels", scope: "layer" },
      work,
    );
    expect(chosen).toEqual([new Set([1, 5, 3, 7]), new Set([0, 3])]);
  });

  it("takes the least important of all layers, and leaves a tenth of each", () => {
    const chosen = chooseChannels(
      groups,
      [candidate(1, wide), candidate(2, narrow)],
      { share: 0.25, of: "channels", scope: "network" },
      work,
    );
    expect(chosen).toEqual([new Set([1]), new Set([0, 3])]);
    const most = chooseChannels(
      groups,
      [candidate(1, wide), candidate(2, [0, 0, 0, 0])],
      { share: 0.5, of: "channels", scope: "network" },
      work,
    );
    expect(most.map(({ size }) => size)).toEqual([3, 3]);
  });

  it("reaches the share of the work, removes no more than that needs, and takes nothing back", () => {
    const importances = (length: number) =>
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: length, maxLength: length });
    fc.assert(
      fc.property(
        importances(8),
        importances(4),
        fc.double({ min: 0.05, max: 0.6, noNaN: true }),
        fc.constantFrom("layer", "network"),
        fc.subarray([0, 1, 2, 3, 4, 5, 6, 7], { maxLength: 2 }),
        (first, second, share, scope, before) => {
          const candidates = [candidate(1, first, before), candidate(2, second)];
          const chosen = chooseChannels(groups, candidates, { share, of: "work", scope }, work);
          const left = remaining(groups, candidates, chosen, work).multiplyAdds;
          expect(left).toBeLessThanOrEqual((1 - share) * work([3, 8, 4, 10]));
          for (const channel of before) expect(chosen[0]).toContain(channel);
          chosen.forEach((gone, place) => expect(gone.size).toBeLessThan(candidates[place]!.importance.length));
        },
      ),
    );
  });
});

it.each([22, 23, 49])(
  "chooseChannels reaches each share of the work with layers of %i channels and twice as many",
  (width) => {
    const groups = [3, width, 2 * width, 10].map((channels) => ({ channels }));
    const work = (sizes: readonly number[]): number =>
      sizes.slice(1).reduce((sum, size, at) => sum + size * sizes[at]!, 0);
    const candidates = [1, 2].map((at) => ({
      at,
      importance: Float64Array.from({ length: at * width }, (_, channel) => channel),
      gone: new Set<number>(),
    }));
    const all = work([3, width, 2 * width, 10]);
    for (let percent = 1; percent <= 90; percent++) {
      const chosen = chooseChannels(groups, candidates, { share: percent / 100, of: "work", scope: "layer" }, work);
      const left = remaining(groups, candidates, chosen, work).multiplyAdds;
      expect(left, `${percent} %`).toBeLessThanOrEqual((1 - percent / 100) * all);
    }
  },
);

describe("importance", () => {
  const weights = new Map<string, tf.Tensor>();
  beforeAll(() => {
    weights.set("bn.weight", tf.tensor1d([-3, 0.5]));
    weights.set("bn.bias", tf.tensor1d([1, 2]));
    weights.set("conv.weight", tf.tensor4d([3, 1, 4, 2, 0, 2], [1, 1, 3, 2]));
  });
  const layouts = new Map([["conv.weight", { layout: "conv" as const }]]);

  it("is a norm's absolute scale, or a filter's Euclidean norm", () => {
    expect([...magnitudes({ kind: "norm", names: ["bn.weight", "bn.bias"] }, weights, layouts)]).toEqual([3, 0.5]);
    const filter = magnitudes({ kind: "filter", names: ["conv.weight"] }, weights, layouts);
    expect(filter[0]).toBeCloseTo(5, 6);
    expect(filter[1]).toBeCloseTo(3, 6);
  });

  it("by gradients is the squared change of the loss without the channel, to first order", () => {
    const x = tf.tensor2d([0.3, -1, 2, 0.5, -0.2, 1.5], [3, 2]);
    // The loss of a channel's output z = scale · x + shift, and the same with the whole channel scaled by a gate.
    const loss = (scale: tf.Tensor, shift: tf.Tensor, gate: tf.Tensor): tf.Scalar =>
      tf.sum(tf.square(tf.mul(gate, tf.add(tf.mul(x, scale), shift))));
    const [scale, shift] = [weights.get("bn.weight")!, weights.get("bn.bias")!];
    const ones = tf.ones([2]);
    const [dScale, dShift] = tf.grads((a, b) => loss(a!, b!, ones))([scale, shift]);
    const byGate = tf
      .grad((gate) => loss(scale, shift, gate))(ones)
      .dataSync();
    const group = {
      at: 1,
      name: "bn.weight",
      channels: 2,
      sources: [{ kind: "norm" as const, names: ["bn.weight", "bn.bias"] }],
    };
    const found = taylor(
      group,
      weights,
      new Map([
        ["bn.weight", dScale!],
        ["bn.bias", dShift!],
      ]),
      layouts,
    );
    byGate.forEach((each, channel) => expect(found[channel]! / each ** 2).toBeCloseTo(1, 5));
  });

  it("masks output channels in every layout", () => {
    const conv = masked(weights.get("conv.weight")!, "conv", new Set([1]));
    expect([...conv.dataSync()]).toEqual([3, 0, 4, 0, 0, 0]);
    expect([...masked(tf.ones([1, 1, 3, 1]), "depthwise", new Set([0, 2])).dataSync()]).toEqual([0, 1, 0]);
    expect([...masked(tf.tensor2d([1, 2, 3, 4], [2, 2]), "linear", new Set([0])).dataSync()]).toEqual([0, 2, 0, 4]);
  });
});

/** Channels of the micro network's only group that are zero: those of its stem and of its norm. */
function zeros(weights: Readonly<Record<string, readonly number[]>>): number[] {
  const isZero = (name: string, channel: number): boolean =>
    weights[name]!.every((each, at) => at % 16 !== channel || each === 0);
  return Array.from({ length: 16 }, (_, channel) => channel).filter((channel) =>
    ["stem.weight", "block.bn.weight", "block.bn.bias"].every((name) => isZero(name, channel)),
  );
}

describe("in a run", () => {
  const fit = (...plugins: Given<Plugin>[]) => fitWeights(microConfig({ epochs: 4, plugins }));

  it("half of the work is gone after the last step, whatever moves the weights", async () => {
    const [notes, warnings]: string[][] = [[], []];
    const config = microConfig({ epochs: 4, plugins: [prune(), lookahead({ every: 2 })] });
    const { weights } = await fitWeights(config, {
      before({ events }) {
        events.on("note", ({ message }) => void notes!.push(message));
        events.on("warning", ({ message }) => void warnings!.push(message));
      },
    });
    // 4 x 4 places: 27 w from the image, 9 w² in the block; 4 w for the classes. 11 channels would be more than half.
    const work = (w: number): number => 16 * (27 * w + 9 * w * w) + 4 * w;
    const kept = 16 - zeros(weights).length;
    expect(work(kept)).toBeLessThanOrEqual(work(16) / 2);
    expect(work(kept + 1)).toBeGreaterThan(work(16) / 2);
    const millions = (count: number): string => (count / 1e6).toFixed(2);
    expect(warnings).toEqual([]);
    expect(notes).toContain(
      `prune: ${16 - kept} of 16 channels are gone; ${millions(work(kept))} of ${millions(work(16))} M multiply-adds remain.`,
    );
  });

  it("takes the channels of the smallest scale and filter", async () => {
    const before = await fitWeights(microConfig({ epochs: 2, plugins: [] }));
    const { weights } = await fitWeights(
      microConfig({ epochs: 3, plugins: [prune({ target: 0.25, of: "channels", from: 2 })] }),
    );
    const scale = before.weights["block.bn.weight"]!.map(Math.abs);
    const filter = scale.map((_, channel) =>
      Math.hypot(...before.weights["stem.weight"]!.filter((_, at) => at % 16 === channel)),
    );
    const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
    const importance = scale.map((each, channel) => each / mean(scale) + filter[channel]! / mean(filter));
    const least = [...importance.keys()].sort((a, b) => importance[a]! - importance[b]!).slice(0, 4);
    expect(zeros(weights)).toEqual(least.sort((a, b) => a - b));
  });

  it("averages of weights have the same zeros", async () => {
    let evaluated: number[] = [];
    const probe: Plugin = {
      name: "probe",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
          const numbers = [...evaluation.weights].map(([name, each]) => [name, [...each.dataSync()]] as const);
          evaluated = zeros(Object.fromEntries(numbers));
          return evaluation;
        }),
    };
    const { weights } = await fit(ema({ decay: 0.5 }), prune({ from: 1 }), probe);
    expect(evaluated).toEqual(zeros(weights));
    expect(evaluated.length).toBeGreaterThan(3);
  });

  it.each(["scale", "taylor"] as const)("resumes to the same bits between choices by %s", async (by) => {
    const config = micro({ epochs: 4, plugins: [prune({ by, from: 1, epochs: 2, scope: "network" })] });
    expect(await mustResumeFromEverywhere(config, 5)).toBeGreaterThan(5);
  });

  it("by gradients takes other channels", async () => {
    const [scale, gradients] = [
      await fit(prune({ from: 1, target: 0.3 })),
      await fit(prune({ from: 1, target: 0.3, by: "taylor" })),
    ];
    expect(zeros(gradients.weights).length).toBe(zeros(scale.weights).length);
    expect(zeros(gradients.weights)).not.toEqual(zeros(scale.weights));
  });
});

it.each<[string, Given<Plugin>[], string]>([
  ["gradients that there are not yet", [prune({ by: "taylor" })], 'Set "from" to 1 or more'],
  ["a schedule longer than the run", [prune({ from: 2, epochs: 2 })], "from 2 + epochs 2, the run has 3"],
  ["a best epoch from before", [prune({ from: 1 }), earlyStopping()], 'Remove "early-stopping"'],
])("refuses %s", (_, plugins, message) => {
  expect(() => new Trainer(microConfig({ plugins }))).toThrow(
    expect.objectContaining({ code: "ERR_COMPOSITION", message: expect.stringContaining(message) as string }),
  );
});

/** Structured pruning: channels of the least importance become zero and stay so; `trainer export` removes them. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import {
  definePlugin,
  graph,
  type Layer,
  type Layout,
  namedParameters,
  needsTensorFlow,
  type Remark,
} from "../../core/index.js";
import { chooseChannels, type Remains, remaining, shareAt } from "./choose.js";
import { importanceOf, masked, type PrunableGroup, prunableGroups, taylor } from "./sources.js";

const options = z.strictObject({
  target: z.number().min(0).lt(1).default(0.5).describe("share to remove"),
  of: z
    .enum(["work", "channels"])
    .default("work")
    .describe('"work": of the multiply-adds; "channels": of the channels'),
  scope: z
    .enum(["layer", "network"])
    .default("layer")
    .describe('"layer": the same share of every layer; "network": the least important channels of all layers'),
  by: z
    .enum(["scale", "taylor"])
    .default("scale")
    .describe(
      'importance: "scale" of the norm (of the filter, without one), or "taylor", by the gradients of an epoch',
    ),
  from: z.int().min(0).default(0).describe("first epoch (from 0) that begins with fewer channels"),
  epochs: z.int().positive().default(1).describe("epochs over which the share grows to the target"),
});

interface Network {
  readonly structure: graph.Graph;
  readonly groups: readonly graph.ChannelGroup[];
  readonly prunable: readonly PrunableGroup[];
  readonly layouts: ReadonlyMap<string, { layout: Layout }>;
}

type ByGroup = readonly (readonly [group: string, numbers: readonly number[]])[];

interface Saved {
  readonly last: number;
  readonly gone: ByGroup;
  readonly scores: ByGroup;
}

export const prune = definePlugin({
  name: "prune",
  summary: "Makes the least important channels zero, for export to remove",
  options,
  check({ target, by, from, epochs }, config) {
    if (target === 0) return [];
    const error = (when: boolean, text: string): Remark[] => (when ? [{ level: "error", text }] : []);
    const hasBest = config.plugins.some(({ name }) => name === "early-stopping");
    return [
      ...needsTensorFlow("prune", config),
      ...error(
        by === "taylor" && from === 0,
        'Plugin "prune" by "taylor" needs the gradients of an epoch. Set "from" to 1 or more.',
      ),
      ...error(
        config.epochs !== undefined && from + epochs > config.epochs,
        `Plugin "prune" ends after the run: from ${from} + epochs ${epochs}, the run has ${config.epochs}. ` +
          "Channels go at the beginning of an epoch. Set smaller numbers, or train longer.",
      ),
      ...error(
        from + epochs > 1 && hasBest,
        'Plugins "prune" and "early-stopping": the best epoch may be one before the last channels went. ' +
          'Remove "early-stopping", or set "from" to 0 and "epochs" to 1.',
      ),
    ];
  },
  apply({ target, of, scope, by, from, epochs }, { hooks, events }) {
    let layer: { network: Layer; inputSize: number } | undefined;
    let network: Network | undefined;
    let last = -1; // the last epoch that has begun
    let gone = new Map<string, ReadonlySet<number>>(); // group -> channels
    let scores = new Map<string, Float64Array>(); // group -> importance by the gradients of this epoch
    let evaluated = new Map<string, tf.Tensor>();
    const release = (): void => {
      tf.dispose([...evaluated.values()]);
      evaluated = new Map();
    };
    /** The parameters of a group that is missing channels, masked. */
    const maskedOf = (weights: ReadonlyMap<string, tf.Tensor>): Map<string, tf.Tensor> =>
      new Map(
        (network?.prunable ?? []).flatMap(({ name: group, sources }) =>
          sources.flatMap(({ names }) =>
            (gone.has(group) ? names : []).map((name) => [
              name,
              masked(weights.get(name)!, network!.layouts.get(name)?.layout ?? "vector", gone.get(group)!),
            ]),
          ),
        ),
      );

    function choose(weights: ReadonlyMap<string, tf.Tensor>, index: number): void {
      const { structure, groups, prunable, layouts } = network!;
      const candidates = prunable.map((group) => ({
        at: group.at,
        gone: gone.get(group.name) ?? new Set<number>(),
        importance: scores.get(group.name) ?? importanceOf(group, weights, layouts),
      }));
      const multiplyAdds = graph.multiplyAddsOf(structure, groups);
      const goal = { share: shareAt(target, index, epochs), of, scope };
      const chosen = chooseChannels(groups, candidates, goal, multiplyAdds);
      gone = new Map(prunable.flatMap(({ name }, at) => (chosen[at]!.size > 0 ? [[name, chosen[at]!]] : [])));
      const [all, rest] = [prunable.map(() => new Set<number>()), chosen].map((each) =>
        remaining(groups, candidates, each, multiplyAdds),
      ) as [Remains, Remains];
      const millions = (count: number): string => (count / 1e6).toFixed(2);
      const message =
        `prune: ${all.channels - rest.channels} of ${all.channels} channels are gone; ` +
        `${millions(rest.multiplyAdds)} of ${millions(all.multiplyAdds)} M multiply-adds remain.`;
      events.emit("note", { message });
    }

    hooks.buildNetwork.tap((built, { inputSize }) => {
      layer = { network: built, inputSize };
      return built;
    });
    hooks.onFitStart.tap(() => {
      if (target === 0) return;
      const traced = graph.structureOf(layer!.network, layer!.inputSize);
      const groups = graph.channelGroups(traced.graph);
      const layouts = namedParameters(layer!.network);
      network = { structure: traced.graph, groups, prunable: prunableGroups(traced, groups), layouts };
    });
    hooks.beforeBatch.tap((batch, { epoch, weights }) => {
      release();
      if (!network || epoch <= last) return batch;
      last = epoch;
      if (epoch >= from && epoch < from + epochs) choose(weights, epoch - from);
      scores = new Map();
      return batch;
    });
    hooks.afterBackward.tap((gradients, { epoch, weights }) => {
      const next = epoch + 1 - from; // the event that these gradients are for
      if (!network || by !== "taylor" || next < 0 || next >= epochs) return gradients;
      for (const group of network.prunable) {
        const more = taylor(group, weights, gradients, network.layouts);
        scores.set(
          group.name,
          more.map((each, channel) => each + (scores.get(group.name)?.[channel] ?? 0)),
        );
      }
      return gradients;
    });
    // Last: whatever moves weights, the channels that are gone stay zero.
    const whenGone = { stage: "last", numbers: () => (gone.size > 0 ? {} : undefined) } as const;
    hooks.afterStep.tap(whenGone, (weights) => new Map([...weights, ...maskedOf(weights)]));
    // Late: an average of weights holds something of the channels that are gone.
    hooks.beforeEvaluate.tap({ stage: "late" }, (evaluation) => {
      release();
      if (gone.size === 0) return evaluation;
      evaluated = new Map([...maskedOf(evaluation.weights)].map(([name, value]) => [name, tf.keep(value)]));
      return { ...evaluation, weights: new Map([...evaluation.weights, ...evaluated]) };
    });
    return {
      save: (): { values: Saved } => ({
        values: {
          last,
          gone: [...gone].map(([name, channels]) => [name, [...channels]]),
          scores: [...scores].map(([name, values]) => [name, [...values]]),
        },
      }),
      load({ values }) {
        const saved = values as Saved;
        last = saved.last;
        gone = new Map(saved.gone.map(([name, channels]) => [name, new Set(channels)]));
        scores = new Map(saved.scores.map(([name, each]) => [name, Float64Array.from(each)]));
      },
      dispose: release,
    };
  },
});

/** Which channels go: pure functions of importances and sizes. */
import type { graph } from "../../core/index.js";

/** A group of channels as the choice sees it. */
export interface Candidate {
  /** Place in the list of the graph's groups. */
  readonly at: number;
  /** Of each channel; the larger, the more it is needed. Groups are compared by it where `scope` is "network". */
  readonly importance: Float64Array;
  /** Channels that went before. */
  readonly gone: ReadonlySet<number>;
}

export interface Goal {
  /** Share to remove. */
  readonly share: number;
  readonly of: "work" | "channels";
  readonly scope: "layer" | "network";
}

/** The cubic schedule of Zhu and Gupta 2017, formula 1: the share that is gone after event `index` (from 0) of `count`. */
export function shareAt(target: number, index: number, count: number): number {
  return target * (1 - (1 - Math.min(1, (index + 1) / count)) ** 3);
}

/** A group keeps a tenth of its channels, and at least one, where others could take its share. */
const leastKept = (channels: number): number => Math.max(1, Math.ceil(channels / 10));

/** What a choice leaves: channels of the candidates, and multiply-adds. */
export interface Remains {
  readonly channels: number;
  readonly multiplyAdds: number;
}

export function remaining(
  groups: readonly Pick<graph.ChannelGroup, "channels">[],
  candidates: readonly Pick<Candidate, "at">[],
  gone: readonly ReadonlySet<number>[],
  multiplyAdds: (channels: readonly number[]) => number,
): Remains {
  const sizes = groups.map(({ channels }) => channels);
  candidates.forEach(({ at }, place) => (sizes[at]! -= gone[place]!.size));
  return {
    channels: candidates.reduce((sum, { at }) => sum + sizes[at]!, 0),
    multiplyAdds: multiplyAdds(sizes),
  };
}

/**
 * For each candidate the channels that are gone when the goal is reached, or as near to it as the groups allow.
 *
 * @param multiplyAdds of the network where each group of the graph has so many channels
 */
export function chooseChannels(
  groups: readonly Pick<graph.ChannelGroup, "channels">[],
  candidates: readonly Candidate[],
  { share, of, scope }: Goal,
  multiplyAdds: (channels: readonly number[]) => number,
): Set<number>[] {
  const measure = (gone: readonly ReadonlySet<number>[]): number =>
    remaining(groups, candidates, gone, multiplyAdds)[of === "work" ? "multiplyAdds" : "channels"];
  const goal = (1 - share) * measure(candidates.map(() => new Set()));
  const isReached = (gone: readonly ReadonlySet<number>[]): boolean => measure(gone) <= goal;
  const orders = candidates.map(({ importance, gone }) => {
    const rank = (channel: number): number => (gone.has(channel) ? -1 : importance[channel]!);
    return Array.from(importance.keys()).sort((a, b) => rank(a) - rank(b) || a - b);
  });
  if (scope === "layer") {
    const first = (part: number): Set<number>[] =>
      orders.map((order, place) => {
        const count = Math.min(Math.floor(part * order.length + 1e-9), order.length - 1); // 15 / 22 * 22 is below 15
        return new Set(order.slice(0, Math.max(count, candidates[place]!.gone.size)));
      });
    // The smallest part that reaches the goal: only multiples of 1 / channels make a difference.
    const parts = [...new Set(orders.flatMap((order) => order.map((_, count) => count / order.length)))];
    const sorted = parts.sort((a, b) => a - b);
    return first(sorted.find((part) => isReached(first(part))) ?? 1);
  }
  const gone = candidates.map((each) => new Set(each.gone));
  const ranked = orders.flatMap((order, place) =>
    order.map((channel) => ({ place, channel, value: candidates[place]!.importance[channel]! })),
  );
  for (const { place, channel } of ranked.sort((a, b) => a.value - b.value)) {
    if (isReached(gone)) break;
    if (orders[place]!.length - gone[place]!.size > leastKept(orders[place]!.length)) gone[place]!.add(channel);
  }
  return gone;
}

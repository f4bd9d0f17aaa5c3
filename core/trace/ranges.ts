/** Ranges that training found for the values of a graph (plugin `quantize-aware`), among the network's running statistics. */
import type { Node } from "./graph.js";

const prefix = "activation_range.";

/** The statistic [low, high] of a value of the simplified graph. */
export const rangeName = (value: string): string => prefix + value;

/** Whether the operation only moves or clips its input: its value has the input's range and int8 parameters (LiteRT's rule). */
export const keepsRange = ({ op }: Node): boolean => ["max-pool", "reshape", "relu", "relu6"].includes(op);

/** Value -> its range; undefined without the plugin, empty where the weights are of an epoch before it. */
export function trainedRanges(
  weights: ReadonlyMap<string, { dataSync(): ArrayLike<number> }>,
): Map<string, readonly [low: number, high: number]> | undefined {
  const ranges = new Map<string, readonly [number, number]>();
  for (const [name, value] of weights) {
    if (!name.startsWith(prefix)) continue;
    const [low, high] = Array.from(value.dataSync()) as [number, number];
    ranges.set(name.slice(prefix.length), [low, high]);
  }
  if (ranges.size === 0) return undefined;
  return [...ranges.values()].every(([low, high]) => low === high) ? new Map() : ranges;
}

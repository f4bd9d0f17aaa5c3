/** Ranges that training found for the values of a graph (plugin `quantize-aware`), among the network's running statistics. */
const prefix = "activation_range.";

/** The statistic [low, high] of a value of the simplified graph. */
export const rangeName = (value: string): string => prefix + value;

/** Value -> its range; empty where nothing was trained, be it that the run ended before. */
export function trainedRanges(
  weights: ReadonlyMap<string, { dataSync(): ArrayLike<number> }>,
): Map<string, readonly [low: number, high: number]> {
  const ranges = new Map<string, readonly [number, number]>();
  for (const [name, value] of weights) {
    if (!name.startsWith(prefix)) continue;
    const [low, high] = Array.from(value.dataSync()) as [number, number];
    ranges.set(name.slice(prefix.length), [low, high]);
  }
  return [...ranges.values()].every(([low, high]) => low === high) ? new Map() : ranges;
}

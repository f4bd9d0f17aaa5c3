import { availableParallelism } from "node:os";

/**
 * How many threads one operation may use: `TF_NUM_INTRAOP_THREADS`, else the processors this process may run on.
 *
 * It is part of what a run is a function of: another number gives other bits (the inter-op count does not).
 */
export function intraOpThreads(env: NodeJS.ProcessEnv = process.env): number {
  const asked = Number(env.TF_NUM_INTRAOP_THREADS);
  return Number.isInteger(asked) && asked > 0 ? asked : availableParallelism();
}

/** Configs of anything at all: each is taken, or refused with one of our errors. */
import fc from "fast-check";
import { expect } from "vitest";
import { configSchema, resolveConfig } from "../../core/config/config.js";
import { type TrainerConfig, TrainerError } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";

/** Checks `runs` configs; returns the milliseconds that the slowest took. */
export function survivesAnyConfig(runs: number): number {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSparseArray: true,
  });
  const key = fc.oneof(fc.constantFrom(...Object.keys(configSchema.shape)), fc.string(), fc.constant("__proto__"));
  let slowest = 0;
  fc.assert(
    fc.property(fc.dictionary(key, anything), (config) => {
      const begin = performance.now();
      try {
        resolveConfig({ ...microConfig(), ...config } as TrainerConfig);
      } catch (error) {
        expect(error).toBeInstanceOf(TrainerError);
        expect((error as TrainerError).exitCode).toBe(2);
      }
      slowest = Math.max(slowest, performance.now() - begin);
      expect("polluted" in {}).toBe(false);
    }),
    { numRuns: runs },
  );
  return slowest;
}

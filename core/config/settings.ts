/** The settings of a config: all but its parts. And the checked config as plugins see it. The parts' schema is in config.ts. */
import { z } from "zod";
import type { DataSource } from "../data/dataset.js";
import type { ModelSource } from "../nn/model.js";
import type { Optimizer } from "../nn/optimizers.js";

const count = z.number().int().positive();

const onDivergence = z.union(
  [
    z.literal("halt"),
    z.strictObject({ skip: count }),
    z.strictObject({ rollback: count, factor: z.number().gt(0).lt(1).default(0.5) }),
  ],
  { error: 'expected "halt", { skip: 3 } or { rollback: 2, factor: 0.5 }' },
);
export type DivergencePolicy = z.output<typeof onDivergence>;

/** Everything of a config but its parts, with the defaults. `TrainerConfig` documents each field. */
export const settingsSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]+$/, "expected letters, digits, dots, dashes and underscores")
    .default("run"),
  learningRate: z.number().positive(),
  epochs: count,
  batchSize: count.default(128),
  inputSize: count.optional(),
  holdout: z.number().min(0).lt(1).default(0.1),
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  backend: z.enum(["tensorflow", "wasm"]).optional(),
  precision: z.enum(["float32", "bfloat16"]).default("float32"),
  capture: z.boolean().default(true),
  evaluateEvery: count.default(1),
  onDivergence: onDivergence.default("halt"),
  hookTimeout: z.number().positive().max(1_000_000).default(600),
  maxSteps: count.optional(),
  limitTrain: count.optional(),
  limitTest: count.optional(),
});
export type Settings = z.output<typeof settingsSchema>;

/** A part as a record names it. */
export interface PartRecord {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A checked config as plugins see it: the settings, the parts, and the other plugins by name and options. */
export type RunConfig = Settings & {
  readonly data: DataSource;
  readonly model: ModelSource;
  readonly optimizer: Optimizer;
  readonly plugins: readonly PartRecord[];
};

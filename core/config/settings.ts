/** The settings of a config: all but its parts. And the checked config as plugins see it. The parts' schema is in config.ts. */
import { z } from "zod";
import type { DataSource } from "../data/dataset.js";
import type { Metric } from "../metrics.js";
import type { Monitor } from "../monitor.js";
import type { Loss } from "../nn/losses.js";
import type { ModelSource } from "../nn/model.js";
import type { Optimizer } from "../nn/optimizers.js";

const count = z.number().int().positive();

const units = { d: 86_400, h: 3600, m: 60, min: 60, s: 1 } as const;

/** Seconds of a time above 0 such as "1h30m", "1.5h" or "90 s"; undefined for anything else. */
export function secondsOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?) ?(min|[dhms]) ?/gy)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) return undefined;
  const seconds = parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit as keyof typeof units], 0);
  return seconds > 0 ? seconds : undefined;
}

const onDivergence = z.union(
  [
    z.literal("halt"),
    z.strictObject({ skip: count }),
    z.strictObject({ rollback: count, factor: z.number().gt(0).lt(1).default(0.5) }),
  ],
  { error: 'expected "halt", { skip: 3 } or { rollback: 2, factor: 0.5 }' },
);
export type DivergencePolicy = z.output<typeof onDivergence>;

/** `90s`, `60m`, `1h30m`, or seconds as a record has them. */
const aTime = { error: 'expected a time such as "90s", "60m" or "1h30m", or a number of seconds above 0' };
const maxTime = z
  .union([z.number().positive(), z.string().refine((text) => secondsOf(text) !== undefined, aTime)], aTime)
  .transform((time) => (typeof time === "string" ? secondsOf(time)! : time));

const monitor = z.union(
  [z.string().min(1), z.strictObject({ metric: z.string().min(1), direction: z.enum(["lower", "higher"]).optional() })],
  { error: 'expected the name of a metric, or { metric: "f1", direction: "higher" }' },
);

/** Everything of a config but its parts, with the defaults. `TrainerConfig` documents each field. */
export const settingsSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]+$/, "expected letters, digits, dots, dashes and underscores")
    .default("run")
    .describe("names the run: its folder is runs/NAME-NUMBER"),
  learningRate: z.number().positive().describe("base rate, before schedules and factors of groups"),
  epochs: count.optional().describe("passes over the training images; a run has epochs or maxTime"),
  maxTime: maxTime
    .optional()
    .describe(
      'train for so long, such as "90s", "60m" or "1h30m", and let the schedule follow the time; steps alone count, evaluation does not',
    ),
  batchSize: count.default(128).describe("images in a micro-batch"),
  inputSize: count
    .optional()
    .describe("side in pixels that images are resized to on the device; the data's own if left out"),
  holdout: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe("share of the training images that is used for validation only, stratified"),
  seed: z.number().int().min(0).max(0xffffffff).default(1).describe("every random number of the run follows from it"),
  backend: z.enum(["tensorflow", "wasm"]).optional().describe("tensorflow if it is installed, else wasm, if left out"),
  precision: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .describe("type of activations and convolutions; bfloat16 needs TensorFlow"),
  capture: z
    .boolean()
    .default(true)
    .describe("run the computations of a step as TensorFlow graphs; same bits, less time"),
  evaluateEvery: count.default(1).describe("epochs between two evaluations; the last epoch always has one"),
  monitor: monitor
    .default({ metric: "loss", direction: "lower" })
    .describe(
      "what the best epoch is measured by: loss, top1 or top5 of validation, train-loss, or one of the metrics",
    ),
  onDivergence: onDivergence
    .default("halt")
    .describe(
      "after a step whose numbers are not finite: end the run, skip the micro-batch, or return to the start of the epoch with a smaller rate",
    ),
  hookTimeout: z
    .number()
    .positive()
    .max(1_000_000)
    .default(600)
    .describe("seconds until an asynchronous hook of a plugin counts as failed"),
  maxSteps: count.optional().describe("stop after n optimizer steps"),
  limitTrain: count.optional().describe("use only n training images, balanced over classes"),
  limitTest: count.optional().describe("use only n test images, balanced over classes"),
});
export type Settings = z.output<typeof settingsSchema>;

/** A part as a record names it. */
export interface PartRecord {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A checked config as plugins see it: the settings, the parts, and the other plugins by name and options. */
export type RunConfig = Omit<Settings, "monitor"> & {
  readonly monitor: Monitor;
  readonly data: DataSource;
  readonly model: ModelSource;
  readonly optimizer: Optimizer;
  readonly loss: Loss;
  readonly metrics: readonly Metric[];
  readonly plugins: readonly PartRecord[];
};

/** What may differ between a run and its continuation: every field of a config is fixed, free or extendable. */
import { createHash } from "node:crypto";
import { type ConfigRecord, configSchema } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import type { Before, Environment } from "./files.js";

/**
 * Fixed: another value gives other weights, so the run would be neither the old nor a new one. Free: no weight depends
 * on it. Extendable: may grow; what was done stays as it is.
 */
export const fieldClasses = {
  name: "free",
  data: "fixed", // but for `freeOptions`: data may move
  model: "fixed",
  optimizer: "fixed",
  loss: "fixed",
  metrics: "fixed", // early stopping may follow one
  monitor: "fixed", // as it does this one
  learningRate: "fixed",
  epochs: "extendable",
  maxTime: "extendable",
  batchSize: "fixed",
  inputSize: "fixed",
  holdout: "fixed",
  seed: "fixed",
  plugins: "fixed",
  backend: "fixed",
  precision: "fixed",
  capture: "free",
  evaluateEvery: "fixed", // early stopping and the best weights follow from it
  onDivergence: "free",
  hookTimeout: "free",
  maxSteps: "free",
  limitTrain: "fixed",
  limitTest: "free",
} as const satisfies Record<keyof ConfigRecord, "fixed" | "free" | "extendable">;

/** Options of parts that no weight depends on: where files lie, and how image files are checked. */
const freeOptions: readonly string[] = [
  "data.options.path",
  "data.options.validateAll",
  "data.options.maxPixels",
  "data.options.maxSeconds",
  "plugins.finetune.path",
  "plugins.distill.teacher", // its weights are compared
];

export type ConfigField = keyof typeof fieldClasses;

/**
 * What --allow-change takes: a field of the config, `config`, the file that holds plugins of the user's own, or `devices`, the
 * number of processes.
 */
export const allowable: readonly string[] = [
  ...Object.keys(fieldClasses).filter((field) => fieldClasses[field as ConfigField] !== "free"),
  "config",
  "devices",
];

/** One difference between a run's record and the config that it is to resume with. */
export interface Change {
  /** "learningRate", "model.options.width", "plugins.cutmix". */
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * The differences that a continuation is refused for, `allowed` fields apart: every changed value of a fixed field, and
 * an extendable one that shrank below what the run is. A field that `record` lacks did not exist when the run was made:
 * its value was the default.
 */
export function forbiddenChanges(record: ConfigRecord, after: ConfigRecord, allowed: readonly string[] = []): Change[] {
  const fields = Object.keys(fieldClasses) as ConfigField[];
  const before = withDefaults(record);
  return fields.flatMap((field) => {
    if (allowed.includes(field) || fieldClasses[field] === "free") return [];
    if (fieldClasses[field] === "extendable") {
      const [was, is] = [before[field] as number | undefined, after[field] as number | undefined];
      return was === is || (was !== undefined && is !== undefined && is > was)
        ? []
        : [{ path: field, before: was, after: is }];
    }
    const changes = differences(field, comparable(before, field), comparable(after, field));
    return changes.filter(({ path }) => !freeOptions.includes(path));
  });
}

/**
 * SHA-256 of all that a run's weights follow from in its config. Checkpoints carry it, so that a checkpoint and a record
 * that do not belong together are detected.
 */
export function configHash(record: ConfigRecord): string {
  const fields = (Object.keys(fieldClasses) as ConfigField[]).filter((field) => fieldClasses[field] === "fixed").sort();
  const values = fields.flatMap((field) => leaves(field, comparable(withDefaults(record), field)));
  const content = values.filter(([path, value]) => value !== undefined && !freeOptions.includes(path));
  content.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

const leaves = (path: string, value: unknown): [path: string, value: unknown][] =>
  isRecord(value) ? Object.entries(value).flatMap(([key, each]) => leaves(`${path}.${key}`, each)) : [[path, value]];

/** A field without a default stays as it is, there or not. */
function withDefaults(record: ConfigRecord): ConfigRecord {
  const lacking = Object.entries(configSchema.shape).filter(
    ([field]) => field !== "loss" && record[field as ConfigField] === undefined,
  );
  return {
    ...record,
    loss: record.loss ?? { name: "cross-entropy", options: {} }, // the only one, before there were others
    ...Object.fromEntries(lacking.map(([field, schema]) => [field, schema.safeParse(undefined).data])),
  };
}

/**
 * Plugins by name, so that a difference names them; their order counts too. Without data-parallel: how many processes train is
 * compared as "devices", and its options change no weight.
 */
function comparable(record: ConfigRecord, field: ConfigField): unknown {
  if (field !== "plugins") return record[field];
  const plugins = record.plugins.filter(({ name }) => name !== "data-parallel");
  const byName = Object.fromEntries(plugins.map(({ name, options }) => [name, options]));
  return { ...byName, "(order)": plugins.map(({ name }) => name).join(", ") }; // no plugin's name
}

function differences(path: string, before: unknown, after: unknown): Change[] {
  if (isRecord(before) && isRecord(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => differences(`${path}.${key}`, before[key], after[key]));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @throws TrainerError ERR_RESUME that shows every difference, and how to allow it */
export function mustBeContinuable(before: ConfigRecord, after: ConfigRecord, allowed: readonly string[] = []): void {
  const changes = forbiddenChanges(before, after, allowed);
  if (changes.length === 0) return;
  const lines = changes.map(({ path, before, after }) => `  ${path}: ${shown(before)} -> ${shown(after)}`);
  const fields = [...new Set(changes.map(({ path }) => path.split(".")[0]!))];
  throw new TrainerError(
    "ERR_RESUME",
    `The run was made with another config. Changed fields:\n` +
      `${lines.join("\n")}\nRestore them, or allow the change with ` +
      `${fields.map((field) => `--allow-change ${field}`).join(" ")}.`,
  );
}

const shown = (value: unknown): string => (value === undefined ? "(not set)" : JSON.stringify(value));

/**
 * Compares the environment with that of the run that is resumed. The same bits are promised for the same backend, threads, Node
 * and machine. Another backend is refused, unless it is allowed; any other difference is a warning.
 *
 * @throws TrainerError ERR_RESUME
 */
export function compareEnvironment(
  { record, allowed }: Before,
  now: Environment,
  warn: (message: string) => void,
): void {
  const was = record.environment;
  if (!was) return;
  if (was.backend !== now.backend && !allowed.includes("backend")) {
    throw new TrainerError(
      "ERR_RESUME",
      `The run was made on ${was.backend}, and would now resume on ${now.backend}, whose numbers differ. ` +
        `Make ${was.backend} available, or allow it with --allow-change backend.`,
    );
  }
  const known = (Object.keys(now) as (keyof Environment)[]).filter((key) => was[key] !== undefined); // by its version
  const differing = known.filter((key) => was[key] !== now[key]);
  if (differing.length === 0) return;
  const list = differing.map((key) => `${key} ${was[key]} -> ${now[key]}`).join(", ");
  warn(`The run resumes in another environment (${list}): the last bits may differ from an uninterrupted run's.`);
}

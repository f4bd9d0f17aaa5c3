/**
 * A run's config, made again from its record. A record holds names and options, never code: built-in parts are made by name,
 * the user's own come from a config that the user gives.
 */
import type { ConfigRecord, PartRecord, TrainerConfig } from "../core/config/config.js";
import { earlierDecoding } from "../core/data/decode.js";
import { dataSets } from "../core/data/index.js";
import { TrainerError } from "../core/errors.js";
import type { PluginFactory } from "../core/loop/plugin.js";
import { metricsByName } from "../core/metrics.js";
import { models } from "../core/models/index.js";
import { lossesByName } from "../core/nn/losses.js";
import { optimizers } from "../core/nn/optimizers-by-name.js";
import { suggestion } from "../core/options.js";
import { type Given, isOfFactory, makePart, type Part, type PartKind } from "../core/parts.js";
import { plugins } from "../plugins/index.js";
import { configIn, type RunConfigRecord } from "./files.js";
import { toJson } from "./json.js";

/** What messages call a kind. */
const called = (kind: PartKind): string => (kind === "data" ? "data set" : kind);

type Factories = Readonly<Record<string, (options: never) => Part<PartRecord>>>;

/** The built-in parts of each kind, by the name that a record gives them. */
const builtIn: Readonly<Record<PartKind, Factories>> = {
  data: dataSets,
  model: models,
  optimizer: optimizers as Factories,
  loss: lossesByName as Factories,
  metric: metricsByName as Factories,
  plugin: plugins as unknown as Record<string, PluginFactory>,
};

/**
 * A built-in part by the name that records give it.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME
 */
export function builtInPart(kind: PartKind, name: string): Part<PartRecord> {
  const names = Object.keys(builtIn[kind]);
  if (names.includes(name)) return builtIn[kind][name]!(undefined as never);
  throw new TrainerError(
    "ERR_UNKNOWN_NAME",
    `There is no built-in ${called(kind)} "${name}"${suggestion(name, names)}. There are ${names.join(", ")}.`,
  );
}

/** A part that a record cannot make again. */
export interface OwnPart extends PartRecord {
  readonly kind: PartKind;
}

const partsOf = ({ data, model, optimizer, loss, metrics, plugins }: ConfigRecord): OwnPart[] => [
  { kind: "data", ...data },
  { kind: "model", ...model },
  { kind: "optimizer", ...optimizer },
  { kind: "loss", ...loss },
  ...metrics.map((metric): OwnPart => ({ kind: "metric", ...metric })),
  ...plugins.map((plugin): OwnPart => ({ kind: "plugin", ...plugin })),
];

const isBuiltIn = ({ kind, name }: OwnPart): boolean => Object.hasOwn(builtIn[kind], name);

/** The parts of a run that are the user's own. */
export const ownParts = (record: ConfigRecord): OwnPart[] => partsOf(record).filter((each) => !isBuiltIn(each));

/**
 * Refuses parts of the user's own that are called as built-in ones are: a record identifies parts by name.
 *
 * @throws TrainerError ERR_CONFIG naming each
 */
export function checkNames(config: TrainerConfig): void {
  const kinds = Object.keys(builtIn) as PartKind[];
  const taken = kinds.flatMap((kind) =>
    candidates(kind, config).flatMap((given): OwnPart[] => {
      const factory = Object.hasOwn(builtIn[kind], given.name) && builtIn[kind][given.name];
      if (!factory || isOfFactory(given, factory(given.options as never))) return [];
      return [{ kind, name: given.name, options: given.options }];
    }),
  );
  if (taken.length === 0) return;
  throw new TrainerError(
    "ERR_CONFIG",
    `Your config's ${named(taken)} is not the built-in one of that name. Give your own another name: a run's record ` +
      "identifies parts by name.",
  );
}

/** `model "mine", plugin "best-epoch"`. */
export const named = (parts: readonly OwnPart[]): string =>
  parts.map(({ kind, name }) => `${called(kind)} "${name}"`).join(", ");

/** A config's parts of one kind. */
function candidates(
  kind: PartKind,
  { data, model, optimizer, loss, metrics = [], plugins = [] }: TrainerConfig,
): Given<PartRecord>[] {
  const all = {
    data: [data],
    model: [model],
    optimizer: optimizer ? [optimizer] : [],
    loss: loss ? [loss] : [],
    metric: metrics,
    plugin: plugins,
  };
  return [...all[kind]];
}

/**
 * An own part of a run from a config of the user's; undefined where the config has none of this kind and name.
 *
 * @throws TrainerError ERR_CONFIG for one with other options: the run's weights are not its own
 */
function fromConfig(wanted: OwnPart, config: TrainerConfig): object | undefined {
  const given = candidates(wanted.kind, config).find(({ name }) => name === wanted.name);
  if (!given) return undefined;
  const found = makePart(given);
  const [options, recorded] = [toJson(found.options), toJson(wanted.options)];
  if (options === recorded) return found;
  throw new TrainerError(
    "ERR_CONFIG",
    `The config's ${named([wanted])} has other options than the run's: expected ${recorded}, got ${options}. ` +
      "Pass the config that the run was made with.",
  );
}

/** Placeholder for an own part that was not given: it throws when it is used. */
function absent(part: OwnPart): object {
  const refuse = (): never => {
    throw missingParts([part]);
  };
  const { name, options } = part;
  return {
    name,
    options,
    load: refuse,
    build: refuse,
    update: refuse,
    compute: refuse,
    factors: refuse,
    slots: [],
    weightDecay: 0,
  };
}

/** The error for own parts that were not given. */
export function missingParts(parts: readonly OwnPart[], hint = ""): TrainerError {
  return new TrainerError(
    "ERR_CONFIG",
    `This run uses parts that are not built in: ${named(parts)}. A run's folder holds no code.${hint} ` +
      "Pass the config that made the run: --config FILE, or openRun(folder, { config }) from code.",
  );
}

/** The config in a record, and the parts that it lacks. */
export interface FromRecord {
  readonly config: TrainerConfig;
  /** Own parts that were not given. A missing plugin is left out; any other missing part throws when it is used. */
  readonly missing: readonly OwnPart[];
}

/**
 * The config in a record.
 *
 * @param own the user's own config, for parts that are not built in
 * @param data where the data lies now, if it moved
 * @throws TrainerError ERR_OPTION for options that a built-in part does not take
 */
export function configFromRecord(record: RunConfigRecord, own?: TrainerConfig, data?: string): FromRecord {
  const missing: OwnPart[] = [];
  const made = partsOf(record).map((each) => {
    const recorded = each.kind === "data" ? { ...each, options: asTrained(each) } : each;
    const wanted = each.kind === "data" && data !== undefined ? movedTo(data, recorded) : recorded;
    if (isBuiltIn(wanted)) return { ...wanted, part: builtIn[wanted.kind][wanted.name]!(wanted.options as never) };
    const part = own && fromConfig(each, own);
    if (!part) missing.push(each);
    return { ...wanted, part: part ?? absent(wanted) };
  });
  const gone = (name: string): boolean => missing.some((each) => each.kind === "plugin" && each.name === name);
  const one = <T>(kind: PartKind): T => made.find((each) => each.kind === kind)!.part as T;
  return {
    missing,
    config: {
      ...configIn(record),
      data: one("data"),
      model: one("model"),
      optimizer: one("optimizer"),
      loss: one("loss"),
      metrics: made.flatMap(({ kind, part }) => (kind === "metric" ? [part as never] : [])),
      plugins: made.flatMap(({ kind, name, part }) => (kind === "plugin" && !gone(name) ? [part as never] : [])),
    },
  };
}

/** Options of a record, with what its version did where it had no option. */
const asTrained = ({ name, options }: PartRecord): PartRecord["options"] =>
  name === "imageFolder" ? { ...earlierDecoding, ...options } : options;

function movedTo(path: string, data: OwnPart): OwnPart {
  if (isBuiltIn(data)) return { ...data, options: { ...data.options, path } };
  throw new TrainerError(
    "ERR_OPTION",
    `--data does not go with ${named([data])}, which is not built in. Give the new path to it in your config.`,
  );
}

/** Before runs had a monitor, early stopping watched the validation loss by an option of its own. */
function withMonitor({ name, options }: PartRecord): PartRecord {
  const { metric, ...others } = options;
  return { name, options: name === "early-stopping" && metric === "loss" ? others : options };
}

/**
 * A record as this version would have written it: options that a later version added to a built-in part have their defaults.
 * What cannot be made any more stays as it is, so that a comparison can show it.
 */
export function asOfNow(record: RunConfigRecord): RunConfigRecord {
  const filled = (kind: PartKind, { name, options }: PartRecord): PartRecord => {
    try {
      const { options: now } = makePart(builtIn[kind][name]!(options as never));
      return { name, options: JSON.parse(toJson(now)) as PartRecord["options"] };
    } catch {
      return { name, options };
    }
  };
  return {
    ...record,
    data: filled("data", { ...record.data, options: asTrained(record.data) }),
    model: filled("model", record.model),
    optimizer: filled("optimizer", record.optimizer),
    loss: filled("loss", record.loss ?? { name: "cross-entropy", options: {} }),
    metrics: (record.metrics ?? []).map((metric) => filled("metric", metric)),
    plugins: record.plugins.map((plugin) => filled("plugin", record.monitor ? plugin : withMonitor(plugin))),
  };
}

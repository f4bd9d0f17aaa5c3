/** Opening a finished run: its config built again from the names it kept, and its weights. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { ConfigRecord, PartRecord, TrainerConfig } from "../core/config/config.js";
import { dataSource } from "../core/data/index.js";
import { TrainerError } from "../core/errors.js";
import { plainView } from "../core/loop/evaluate.js";
import type { Plugin, PluginFactory } from "../core/loop/plugin.js";
import type { Trainer } from "../core/loop/trainer.js";
import type { Evaluation } from "../core/loop/types.js";
import { modelByName } from "../core/models/index.js";
import type { Weights } from "../core/nn/layer.js";
import { type Optimizer, optimizers } from "../core/nn/optimizers.js";
import { makePart, type Part } from "../core/parts.js";
import { plugins } from "../plugins/index.js";
import { toJson } from "../run/json.js";
import { type RunConfigRecord, runFiles } from "../run/record.js";

export interface OpenedRun {
  readonly path: string;
  readonly config: TrainerConfig;
  /** The bytes of the weights the run ended with. */
  readonly weights: Uint8Array;
  readonly weightsPath: string;
}

/**
 * Reads a run's folder. Its data's place may be given anew, for folders that moved.
 *
 * @throws TrainerError ERR_DATA when the folder is no finished run; ERR_CONFIG when it was made with parts
 *   that are not built in, which a record cannot hold
 */
export function openRun(folder: string, { data }: { data?: string } = {}): OpenedRun {
  const path = resolve(folder);
  for (const file of [runFiles.config, runFiles.weights]) {
    if (!existsSync(join(path, file))) {
      throw new TrainerError("ERR_DATA", `${path} is not a finished run: it has no ${file}.`);
    }
  }
  const config = rebuilt(readRecord(join(path, runFiles.config)), data);
  const weightsPath = join(path, runFiles.weights);
  return { path, config, weights: readFileSync(weightsPath), weightsPath };
}

const part = z.looseObject({ name: z.string(), options: z.record(z.string(), z.unknown()) });
const recordShape = z.looseObject({ data: part, model: part, optimizer: part, plugins: z.array(part) });

/**
 * A run's record; what it holds beside its parts is checked as a config is.
 *
 * @throws TrainerError ERR_DATA for a file that is none
 */
export function readRecord(path: string): RunConfigRecord {
  try {
    return recordShape.parse(JSON.parse(readFileSync(path, "utf8"))) as unknown as RunConfigRecord;
  } catch (cause) {
    const problem =
      cause instanceof z.ZodError ? "lacks parts of a run's config" : `is not JSON: ${(cause as Error).message}`;
    throw new TrainerError("ERR_DATA", `${path} ${problem}. It is damaged, or of another program.`, {
      cause,
    });
  }
}

/**
 * The weights as an evaluation of the run looks at pictures with them: plugins may add views, and what they
 * would put in the place of the weights (averages, the best) is what the run kept already.
 */
export function finalEvaluation(trainer: Trainer, weights: Weights): Evaluation {
  const { epochs } = trainer.config;
  const evaluation: Evaluation = { purpose: "validation", weights, source: "final", views: [plainView] };
  const progress = { epoch: 0, epochs, step: 0, stepsPerEpoch: 1, totalSteps: epochs };
  return { ...trainer.hooks.call.beforeEvaluate(evaluation, progress), weights, source: "final" };
}

/** The plugins of a run that a record of names and options cannot make again. */
export function foreignPlugins(record: Pick<ConfigRecord, "plugins">): string[] {
  return record.plugins.filter(({ name }) => !Object.hasOwn(plugins, name)).map(({ name }) => name);
}

/**
 * A run's record as this version would have kept it: options that a later version added to a built-in part have their
 * defaults. What cannot be made any more stays as it is, for whoever compares it to show.
 */
export function asOfNow(record: RunConfigRecord): RunConfigRecord {
  const filled = (part: PartRecord, make: () => Part<PartRecord>): PartRecord => {
    try {
      return { name: part.name, options: JSON.parse(toJson(makePart(make()).options)) as PartRecord["options"] };
    } catch {
      return part;
    }
  };
  const { data, model, optimizer } = record;
  return {
    ...record,
    data: filled(data, () => dataSource(data.name, data.options)),
    model: filled(model, () => modelByName(model.name, model.options)),
    optimizer: filled(optimizer, () => optimizerOf(optimizer)),
    plugins: record.plugins.map((part) => filled(part, () => pluginOf(part))),
  };
}

const pluginOf = ({ name, options }: PartRecord): Part<Plugin> =>
  (plugins as unknown as Record<string, PluginFactory>)[name]!(options);

function optimizerOf({ name, options }: PartRecord): Part<Optimizer> {
  if (!Object.hasOwn(optimizers, name))
    throw new TrainerError("ERR_CONFIG", `There is no built-in optimizer "${name}".`);
  const make: (options: object) => Part<Optimizer> = optimizers[name as keyof typeof optimizers];
  return make(options);
}

/** A config from its record. @throws TrainerError ERR_CONFIG for parts that are not built in */
export function rebuilt({ source: _, environment: __, ...record }: RunConfigRecord, data?: string): TrainerConfig {
  const foreign = foreignPlugins(record);
  if (foreign.length > 0) {
    throw new TrainerError(
      "ERR_CONFIG",
      `This run used plugins that are not built in (${foreign.join(", ")}); ` +
        "a run's folder holds data, no code. Open it from a script that builds the same config.",
    );
  }
  const optimizer = optimizerOf(record.optimizer);
  const options = data === undefined ? record.data.options : { ...record.data.options, path: data };
  return {
    ...record,
    data: dataSource(record.data.name, options),
    model: modelByName(record.model.name, record.model.options),
    optimizer,
    plugins: record.plugins.map(pluginOf),
  };
}

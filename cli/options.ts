/** The options that `fit` and `plan` share, and the config they make. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { addPlugin, parseSetting, replacePlugin, setOption } from "../core/config/change.js";
import type { TrainerConfig } from "../core/config/config.js";
import { hasConfig, loadConfig } from "../core/config/load.js";
import { secondsOf } from "../core/config/settings.js";
import { TrainerError } from "../core/errors.js";
import type { Plugin } from "../core/loop/plugin.js";
import type { Metric } from "../core/metrics.js";
import { suggestion } from "../core/options.js";
import { type Given, makePart, type Part } from "../core/parts.js";
import { finetune, plugins } from "../plugins/index.js";
import { presets } from "../presets/index.js";
import type { ConfigSource } from "../run/files.js";
import { builtInPart } from "../run/parts.js";
import { configForImages } from "./own-images.js";
import { tell } from "./terminal.js";

export interface RunOptions {
  preset?: string;
  config?: string;
  data?: string;
  exclude?: string;
  weights?: string;
  epochs?: number;
  maxSteps?: number;
  maxTime?: string;
  batchSize?: number;
  learningRate?: number;
  seed?: number;
  backend?: "tensorflow" | "wasm";
  precision?: "float32" | "bfloat16";
  capture: boolean;
  set: string[];
  with: string[];
  without: string[];
  holdout?: number;
  limitTrain?: number;
  limitTest?: number;
  json?: boolean;
  quiet?: boolean;
}

/** A whole number from `least` on. */
export const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
    }
    return value;
  };

/** A number above 0. */
export const positive = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError("It must be a number above 0.");
  }
  return value;
};

/** A time that a config takes. */
const time = (text: string): string => {
  if (secondsOf(text) === undefined)
    throw new InvalidArgumentError('It must be a time such as "90s", "60m" or "1h30m".');
  return text;
};

const fraction = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < 1)) {
    throw new InvalidArgumentError("It must be a number from 0 to below 1.");
  }
  return value;
};

const repeated = (value: string, all: string[]): string[] => [...all, value];

/** Adds the options that make a run. */
export function addRunOptions(command: Command): Command {
  return command
    .option("--preset <name>", "built-in recipe; `trainer presets` lists them")
    .option("--config <file>", "your config; default: trainer.config.ts, here or in a parent")
    .option("--data <path>", "data set: archive, folder, or CSV of path,label; alone, it is enough")
    .option("--exclude <csv>", "images of a folder to leave out: a list of `trainer data check`")
    .option("--weights <file>", "pretrained weights: safetensors, or hf:owner/name")
    .option("--epochs <n>", "passes over the training images", whole(1))
    .option("--max-steps <n>", "stop after n optimizer steps", whole(1))
    .option("--max-time <time>", "train for 90s, 60m or 1h30m instead of epochs", time)
    .option("--bs, --batch-size <n>", "images per micro-batch", whole(1))
    .option("--lr, --learning-rate <x>", "learning rate before the schedule", positive)
    .option("--seed <n>", "seed of all random numbers", whole(0))
    .addOption(new Option("--backend <name>", "default: tensorflow if installed").choices(["tensorflow", "wasm"]))
    .addOption(
      new Option("--precision <name>", "type of activations; bfloat16 needs TensorFlow").choices([
        "float32",
        "bfloat16",
      ]),
    )
    .option("--set <key=value>", "set a value: plugins.cutmix.alpha=0.2, model=resnet34; repeatable", repeated, [])
    .option("--with <plugin>", "add a plugin at the end; repeatable", repeated, [])
    .option("--without <plugin>", "remove a plugin; repeatable", repeated, [])
    .option("--holdout <fraction>", "share of the training images for validation", fraction)
    .option("--limit-train <n>", "use n training images, balanced over classes", whole(1))
    .option("--limit-test <n>", "use n test images", whole(1))
    .option("--no-capture", "run each step without a TensorFlow graph")
    .option("--json", "print JSON")
    .option("--quiet", "print only warnings and the result");
}

export interface NamedConfig {
  readonly config: TrainerConfig;
  /** The user's own config file that it comes from, if it comes from one. */
  readonly source?: ConfigSource;
}

/**
 * The config that the options name, with what they override.
 *
 * @param otherwise gives it where they name none; left out: the config file here or above
 * @throws TrainerError for names that are not there
 */
export async function configFrom(options: RunOptions, otherwise?: () => Promise<TrainerConfig>): Promise<NamedConfig> {
  if (options.preset !== undefined && options.config !== undefined) {
    throw new TrainerError("ERR_OPTION", "expected --preset or --config, got both. Remove one of them.");
  }
  const { config: base, source } =
    options.preset !== undefined
      ? { config: fromPreset(options.preset, options) }
      : options.config === undefined && otherwise
        ? { config: withData(await otherwise(), options.data) }
        : options.config === undefined && options.data !== undefined && !(await hasConfig())
          ? { config: await fromImages(options.data, options) }
          : await fromFile(options);
  const overrides: Partial<TrainerConfig> = Object.fromEntries(
    (
      [
        "epochs",
        "maxSteps",
        "maxTime",
        "batchSize",
        "learningRate",
        "seed",
        "backend",
        "precision",
        "holdout",
        "limitTrain",
        "limitTest",
      ] as const
    )
      .filter((key) => options[key] !== undefined)
      .map((key) => [key, options[key]]),
  );
  const other = options.epochs !== undefined ? "--epochs" : options.maxSteps !== undefined ? "--max-steps" : undefined;
  if (options.maxTime !== undefined && other) {
    throw new TrainerError("ERR_OPTION", `expected --max-time or ${other}, got both. Remove one of them.`);
  }
  // Each takes the place of the other one in the config.
  if (options.maxTime !== undefined) Object.assign(overrides, { epochs: undefined, maxSteps: undefined });
  if (other !== undefined) Object.assign(overrides, { maxTime: undefined });
  if (!options.capture) Object.assign(overrides, { capture: false });
  const changed = changedBy(options, { ...base, ...overrides });
  return { config: withWeights(withExcluded(changed, options.exclude), options.weights), source };
}

/** What `--with`, `--without` and `--set` change, in this order. @throws TrainerError that names the option */
function changedBy(options: Pick<RunOptions, "with" | "without" | "set">, base: TrainerConfig): TrainerConfig {
  const added = options.with.reduce(
    (config, name) => named(`--with ${name}`, () => addPlugin(config, builtInPlugin(name))),
    base,
  );
  const kept = options.without.reduce(
    (config, name) => named(`--without ${name}`, () => replacePlugin(config, name)),
    added,
  );
  return options.set.reduce((config, text) => {
    return named(`--set ${text}`, () => {
      const { path, value } = parseSetting(text);
      return withOtherPart(config, path, value) ?? setOption(config, path, value);
    });
  }, kept);
}

/** Fields of a config that hold one part: each is called as the part's kind. */
const partFields = ["data", "model", "optimizer", "loss"] as const;

/**
 * `model=resnet34`, `metrics=["f1"]`: the config with built-in parts in the place of others; undefined for any other setting. A
 * part takes over the options of the one before it, if it has all of them; else it has its defaults, and a line says so.
 */
function withOtherPart(config: TrainerConfig, path: readonly string[], value: unknown): TrainerConfig | undefined {
  const [field, ...rest] = path;
  if (rest.length > 0 || field === undefined) return undefined;
  if (field === "metrics" && Array.isArray(value) && value.every((name) => typeof name === "string")) {
    return { ...config, metrics: value.map((name) => builtInPart("metric", name) as unknown as Part<Metric>) };
  }
  const key = partFields.find((each) => each === field);
  if (key === undefined || typeof value !== "string") return undefined;
  const part = builtInPart(key, value);
  const before = config[key];
  const options = before?.options ?? {};
  const withOptions = { ...part, options };
  if (takes(withOptions)) return { ...config, [key]: withOptions };
  const left = Object.keys(options).join(", ");
  tell(
    `warning: --set ${field}=${value}: "${value}" has its default options; it does not take those of "${before!.name}" (${left}).`,
  );
  return { ...config, [key]: part };
}

function takes(part: Part<{ name: string }>): boolean {
  try {
    makePart(part);
    return true;
  } catch {
    return false;
  }
}

/** An error with the option that it comes from. */
function named<T>(option: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof TrainerError)) throw cause;
    throw new TrainerError(cause.code, `${option}: ${cause.message}`, { cause });
  }
}

/** A plugin of this package with its defaults. @throws TrainerError ERR_UNKNOWN_NAME */
export function builtInPlugin(name: string): Given<Plugin> {
  if (Object.hasOwn(plugins, name)) return plugins[name as keyof typeof plugins]();
  throw new TrainerError("ERR_UNKNOWN_NAME", `Unknown plugin "${name}"${suggestion(name, Object.keys(plugins))}.`);
}

function fromPreset(name: string, { data, batchSize, weights }: RunOptions): TrainerConfig {
  if (!Object.hasOwn(presets, name)) {
    throw new TrainerError(
      "ERR_UNKNOWN_NAME",
      `Unknown preset "${name}"${suggestion(name, Object.keys(presets))}. \`trainer presets\` lists them.`,
    );
  }
  const config = presets[name as keyof typeof presets].create({ data, batchSize, weights });
  if (data !== undefined && !("path" in config.data.options)) {
    throw new TrainerError(
      "ERR_OPTION",
      `--data cannot be used with the preset "${name}": its data, ${config.data.name}, needs no file. Remove --data.`,
    );
  }
  return config;
}

/** A folder of images alone: the config is chosen for them. */
function fromImages(data: string, { weights, batchSize, quiet }: RunOptions): Promise<TrainerConfig> {
  return configForImages(data, { weights, batchSize, log: quiet ? undefined : tell });
}

async function fromFile({ config: given, data, quiet }: RunOptions): Promise<NamedConfig> {
  const { config, file, hash } = await loadConfig(given);
  if (!quiet) {
    tell(`config ${file}`);
    if (given === undefined && data !== undefined && !hasPath(config.data, data)) {
      tell(
        `--data replaces the images of that config alone: its name, model and settings stay. To choose them for ${data}, ` +
          "add --preset transfer, or run it where no config is.",
      );
    }
  }
  return { config: withData(config, data), source: { path: file, sha256: hash } };
}

const hasPath = ({ options }: TrainerConfig["data"], path: string): boolean =>
  typeof options.path === "string" && resolve(options.path) === resolve(path);

function withData(config: TrainerConfig, path: string | undefined): TrainerConfig {
  return path === undefined ? config : named("--data", () => setOption(config, ["data", "path"], path));
}

function withExcluded(config: TrainerConfig, list: string | undefined): TrainerConfig {
  return list === undefined ? config : named("--exclude", () => setOption(config, ["data", "exclude"], list));
}

/** `--weights` is the plugin finetune, the first, or its path where the config has one. */
function withWeights(config: TrainerConfig, path: string | undefined): TrainerConfig {
  if (path === undefined) return config;
  const { plugins: all = [] } = config;
  if (!all.some(({ name }) => name === "finetune")) return { ...config, plugins: [finetune({ path }), ...all] };
  return setOption(config, ["plugins", "finetune", "path"], path);
}

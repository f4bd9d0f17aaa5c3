/** A config with something changed. Every function returns a new config and leaves the given one as it was. */
import { TrainerError } from "../errors.js";
import type { Plugin } from "../loop/plugin.js";
import { losses } from "../nn/losses.js";
import { type Optimizer, sgd } from "../nn/optimizers.js";
import { optimizers } from "../nn/optimizers-by-name.js";
import { suggestion } from "../options.js";
import { type Given, isPart, type Part } from "../parts.js";
import { configSchema, type TrainerConfig } from "./config.js";

/**
 * The config with one value set. Nothing is checked but that there is such a part: `defineConfig` and `new Trainer` check names
 * and values, as those of any config.
 *
 * @param path a field (`["epochs"]`; an optimizer by its name), or a part and its option (`["model", "width"]`, `["plugins", "cutmix", "alpha"]`). Items of
 *   a list go by their place from 0, metrics and plugins by name or place.
 * @throws TrainerError ERR_OPTION or ERR_UNKNOWN_NAME for a part that has no such options to set
 */
export function setOption(config: TrainerConfig, path: readonly string[], value: unknown): TrainerConfig {
  const [field, ...rest] = path;
  switch (field) {
    case "data":
    case "model":
      return { ...config, [field]: withOption(field, config[field], rest, value) };
    case "optimizer":
      if (rest.length === 0 && typeof value === "string") return { ...config, optimizer: optimizerByName(value) };
      return { ...config, optimizer: withOption(field, config.optimizer ?? sgd(), rest, value) };
    case "loss":
      return { ...config, loss: withOption(field, config.loss ?? losses.crossEntropy(), rest, value) };
    case "metrics":
      return { ...config, metrics: inList(field, config.metrics, rest, value) };
    case "plugins":
      return { ...config, plugins: inList(field, config.plugins, rest, value) };
    default:
      mustNotNamePlugin(config, path);
      return setIn(config, path, value) as TrainerConfig;
  }
}

/** `cutmix.alpha` lacks "plugins." in front of it. @throws TrainerError ERR_OPTION */
function mustNotNamePlugin({ plugins = [] }: TrainerConfig, [name, ...rest]: readonly string[]): void {
  if (name! in configSchema.shape || !plugins.some((plugin) => plugin.name === name)) return;
  const text = `"${name}" is a plugin of this config. Write plugins.${[name, ...rest].join(".")}.`;
  throw new TrainerError("ERR_OPTION", text);
}

function optimizerByName(name: string): Part<Optimizer> {
  if (Object.hasOwn(optimizers, name)) return optimizers[name as keyof typeof optimizers]();
  const text = `Unknown optimizer "${name}"${suggestion(name, Object.keys(optimizers))}.`;
  throw new TrainerError("ERR_UNKNOWN_NAME", text);
}

/**
 * The path and value of a setting as text: `plugins.cutmix.alpha=0.2`. A value is JSON, or the text itself where it is none.
 *
 * @throws TrainerError ERR_OPTION for another form
 */
export function parseSetting(text: string): { path: string[]; value: unknown } {
  const [, key, written] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  const path = key?.trim().split(".") ?? [];
  if (written === undefined || path.includes("")) {
    throw new TrainerError(
      "ERR_OPTION",
      `Expected key=value, such as epochs=20 or plugins.cutmix.alpha=0.2, got ${JSON.stringify(text)}.`,
    );
  }
  try {
    return { path, value: JSON.parse(written) };
  } catch {
    return { path, value: written };
  }
}

/** The config with one more plugin, the last. @throws TrainerError ERR_OPTION if it has one of this name */
export function addPlugin(config: TrainerConfig, plugin: Given<Plugin>): TrainerConfig {
  const { plugins = [] } = config;
  if (plugins.some(({ name }) => name === plugin.name)) {
    throw new TrainerError(
      "ERR_OPTION",
      `The config has the plugin "${plugin.name}" already. Set its options instead, such as plugins.${plugin.name}.KEY=VALUE.`,
    );
  }
  return { ...config, plugins: [...plugins, plugin] };
}

/**
 * The config with one plugin replaced by others, in its place: `replacePlugin(cifar100Strong(), "cutmix", mixup())`. With no
 * others the plugin is left out.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME if the config has no such plugin
 */
export function replacePlugin(config: TrainerConfig, name: string, ...others: readonly Given<Plugin>[]): TrainerConfig {
  const plugins = config.plugins ?? [];
  if (!plugins.some((plugin) => plugin.name === name)) throw unknownPlugin(plugins, name);
  return { ...config, plugins: plugins.flatMap((plugin) => (plugin.name === name ? others : [plugin])) };
}

/** A list of parts with an option of one set. */
function inList<P extends { readonly name: string }>(
  field: "metrics" | "plugins",
  parts: readonly Given<P>[] = [],
  [name = "", ...option]: readonly string[],
  value: unknown,
): Given<P>[] {
  const place = parts.findIndex((part, at) => part.name === name || String(at) === name);
  if (place === -1) throw unknownPart(field === "metrics" ? "metric" : "plugin", parts, name);
  return parts.with(place, withOption(`${field}.${name}`, parts[place]!, option, value));
}

const unknownPlugin = (plugins: readonly { readonly name: string }[], name: string): TrainerError =>
  unknownPart("plugin", plugins, name);

function unknownPart(kind: string, parts: readonly { readonly name: string }[], name: string): TrainerError {
  const names = parts.map((part) => part.name);
  const known = names.length === 0 ? " (it has none)" : suggestion(name, names);
  return new TrainerError("ERR_UNKNOWN_NAME", `The config has no ${kind} "${name}"${known}.`);
}

/** A factory's part with an option set; a part written by hand has no options that anyone reads. */
function withOption<P extends { readonly name: string }>(
  where: string,
  given: Given<P>,
  option: readonly string[],
  value: unknown,
): Part<P> {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_OPTION", `"${[where, ...option].join(".")}" cannot be set: ${problem}.`);
  };
  if (!isPart(given)) return refuse(`"${given?.name}" is written by hand. Change it in the config`);
  const part = given as Part<P>;
  if (option.length === 0) {
    return refuse(`"${part.name}" is a part. Set one of its options, such as ${where}.KEY=VALUE`);
  }
  return { ...part, options: setIn(part.options, option, value) as Part["options"] };
}

/** A copy of plain data with a value set; objects on the way are made where there are none. */
function setIn(data: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(data) && /^\d+$/.test(key) && Number(key) <= data.length) {
    const copy = [...data];
    copy[Number(key)] = setIn(data[Number(key)], rest, value);
    return copy;
  }
  const object = typeof data === "object" && data !== null && !Array.isArray(data) ? data : {};
  return { ...object, [key]: setIn((object as Record<string, unknown>)[key], rest, value) };
}

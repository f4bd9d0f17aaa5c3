/** A config with something changed. Every function returns a new config and leaves the given one as it was. */
import { TrainerError } from "../errors.js";
import type { Plugin } from "../loop/plugin.js";
import { suggestion } from "../options.js";
import type { Given } from "../parts.js";
import type { TrainerConfig } from "./config.js";

/**
 * The config with one plugin replaced by others, in its place: `replacePlugin(cifar100Strong(), "cutmix", mixup())`.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME if the config has no such plugin
 */
export function replacePlugin(config: TrainerConfig, name: string, ...others: readonly Given<Plugin>[]): TrainerConfig {
  const plugins = config.plugins ?? [];
  const names = plugins.map((plugin) => plugin.name);
  if (!names.includes(name)) {
    throw new TrainerError("ERR_UNKNOWN_NAME", `The config has no plugin "${name}"${suggestion(name, names)}.`);
  }
  return { ...config, plugins: plugins.flatMap((plugin) => (plugin.name === name ? others : [plugin])) };
}

/** `--config FILE` of commands that use a run: the config with the user's own parts. */
import { resolve } from "node:path";
import type { Command } from "commander";
import type { TrainerConfig } from "../core/config/config.js";
import { loadConfig } from "../core/config/load.js";
import { readRecord } from "../run/record-files.js";
import { tell } from "./terminal.js";

export const addConfigOption = (command: Command): Command =>
  command.option("--config <file>", "the config that made the run, for parts of your own");

/**
 * The config that the user names. That it has changed since the run was made is reported: the user means it, or not.
 *
 * @throws TrainerError ERR_CONFIG, ERR_DATA
 */
export async function ownConfig(run: string, file: string | undefined): Promise<TrainerConfig | undefined> {
  if (file === undefined) return undefined;
  const { source } = readRecord(resolve(run));
  const { config, file: path, hash } = await loadConfig(file);
  if (source && source.sha256 !== hash) {
    tell(`warning: ${path} is not the config that made the run, or has changed since.`);
  }
  return config;
}

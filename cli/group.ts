/** The group that this process is a rank of, as its launcher and the command line say. */
import { InvalidArgumentError } from "commander";
import type { TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { membershipOf } from "../core/group/membership.js";
import { parseOptions } from "../core/options.js";
import { dataParallel } from "../plugins/index.js";
import { tell } from "./terminal.js";

export interface GroupOptions {
  hosts?: string[];
  port?: number;
  insecureNetwork?: boolean;
}

/** A list with commas. */
export function listed(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.some((part) => part === "")) throw new InvalidArgumentError("It must be names with commas between them.");
  return parts;
}

/** A run's own config without the addresses that it had, and without the consent to them: both are of the process. */
export function withoutAddresses(config: TrainerConfig): TrainerConfig {
  const plugins = config.plugins?.map((each) => {
    if (each.name !== dataParallel.definition.name) return each;
    const { hosts: _, port: __, insecureNetwork: ___, ...others } = each.options;
    return dataParallel(others);
  });
  return { ...config, plugins };
}

/**
 * The config of a process: with the plugin `data-parallel` where a launcher names a rank, and what the command line says of it.
 *
 * @throws TrainerError ERR_OPTION for a launcher that contradicts another one or the command line
 */
export function inGroup(
  config: TrainerConfig,
  { hosts, port, insecureNetwork }: GroupOptions,
  env: NodeJS.ProcessEnv,
): { config: TrainerConfig; rank: number; size: number } {
  const plugins = config.plugins ?? [];
  const before = plugins.find(({ name }) => name === dataParallel.definition.name);
  const given = Object.fromEntries(
    Object.entries({ hosts, port, insecureNetwork }).filter(([, value]) => value !== undefined),
  );
  const { name, options: schema } = dataParallel.definition;
  const options = parseOptions(`plugin "${name}"`, schema, { ...before?.options, ...given });
  const membership = membershipOf(env, options);
  if (!membership) {
    if (Object.keys(given).length > 0) {
      throw new TrainerError(
        "ERR_OPTION",
        "--hosts, --port and --insecure-network are for several processes, and nothing names this one's rank. " +
          "Start it with srun, mpirun or torchrun, or set RANK and WORLD_SIZE.",
      );
    }
    if (Number(env.SLURM_NTASKS) > 1 && env.SLURM_STEP_NUM_TASKS === undefined) {
      tell(
        `warning: SLURM gives this job ${env.SLURM_NTASKS} tasks, and srun did not start this process. It trains alone.`,
      );
    }
    return { config, rank: 0, size: 1 };
  }
  const part = dataParallel({ ...before?.options, ...given });
  const all = before ? plugins.map((each) => (each === before ? part : each)) : [...plugins, part];
  return { config: { ...config, plugins: all }, rank: membership.rank, size: membership.addresses.length };
}

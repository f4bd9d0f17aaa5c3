/** `trainer plan`: shows a run without training it. */
import type { Command } from "commander";
import { resolveConfig } from "../core/config/config.js";
import type { DataSource } from "../core/data/dataset.js";
import { formatPlan, makePlan } from "../core/loop/plan.js";
import { Trainer } from "../core/loop/trainer.js";
import { toJson } from "../run/json.js";
import { openFolder } from "../run/open.js";
import { addRunOptions, configFrom, type RunOptions } from "./options.js";
import { columns, print, tell, tellWarnings } from "./terminal.js";

/** A data set that need not be read: without a path of its own, its known sizes are enough for a plan. */
function outlined(source: DataSource): DataSource {
  const { outline, options } = source;
  return outline && !("path" in options) ? { ...source, load: async () => outline() } : source;
}

export function addPlan(program: Command): void {
  addRunOptions(program.command("plan"))
    .description("show a run without training: loop, plugins, size, schedule, memory")
    .summary("show a run without training it")
    .addHelpText(
      "after",
      `
Without --data, CIFAR is planned from its published sizes, without a download.

Example:
  trainer plan --preset cifar100-small`,
    )
    .action(async (options: RunOptions) => {
      const { config } = await configFrom(options);
      const trainer = new Trainer({ ...config, data: outlined(resolveConfig(config).data) });
      tellWarnings(trainer.events);
      await trainer.checkFiles({ run: async (folder) => void (await openFolder(folder)) });
      const session = await trainer.prepare(options.quiet ? undefined : tell);
      const plan = makePlan(trainer, session);
      print(options.json ? toJson(plan) : formatPlan(plan, columns(process.stdout)));
    });
}

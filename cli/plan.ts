/** `trainer plan`: shows a run without training it. */
import type { Command } from "commander";
import { formatPlan, makePlan } from "../core/loop/plan.js";
import { Trainer } from "../core/loop/trainer.js";
import { toJson } from "../run/json.js";
import { addRunOptions, configFrom, type RunOptions } from "./options.js";
import { columns, print, tell, tellWarnings } from "./terminal.js";

export function addPlan(program: Command): void {
  addRunOptions(program.command("plan"))
    .description("show a run without training: loop, plugins, size, schedule, memory")
    .summary("show a run without training it")
    .addHelpText("after", "\nExample:\n  trainer plan --preset cifar100-small --data cifar-100-binary.tar.gz")
    .action(async (options: RunOptions) => {
      const trainer = new Trainer((await configFrom(options)).config);
      tellWarnings(trainer.events);
      const session = await trainer.prepare(options.quiet ? undefined : tell);
      const plan = makePlan(trainer, session);
      print(options.json ? toJson(plan) : formatPlan(plan, columns(process.stdout)));
    });
}

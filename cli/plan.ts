/** `trainer plan`: shows a run without training it. */
import type { Command } from "commander";
import type { DataSource } from "../core/data/dataset.js";
import { TrainerError } from "../core/errors.js";
import { formatPlan, makePlan } from "../core/loop/plan.js";
import { Trainer } from "../core/loop/trainer.js";
import { readWeights } from "../core/nn/read-weights.js";
import { isRepository } from "../core/pretrained/open.js";
import { toJson } from "../run/json.js";
import { openFolder } from "../run/open.js";
import { addRunOptions, configFrom, type RunOptions } from "./options.js";
import { columns, print, tell, tellWarnings } from "./terminal.js";

/** A data set that need not be read: without a path of its own, its known sizes are enough for a plan. */
function outlined(source: DataSource): DataSource {
  const { outline, options } = source;
  return outline && !("path" in options) ? { ...source, load: async () => outline() } : source;
}

/** Weights of a file, as the run would read them; those of a repository would be downloaded. @throws TrainerError ERR_WEIGHTS */
async function checkWeights({ config }: Trainer): Promise<void> {
  const path = config.plugins.find(({ name }) => name === "finetune")?.options.path;
  if (typeof path === "string" && !isRepository(path)) await readWeights(path);
}

/** The teacher of distillation, a finished run. @throws TrainerError ERR_DATA */
async function checkTeacher({ config }: Trainer): Promise<void> {
  const { teacher, alpha } = config.plugins.find(({ name }) => name === "distill")?.options ?? {};
  if (typeof teacher !== "string" || alpha === 0) return;
  try {
    await openFolder(teacher);
  } catch (cause) {
    if (!(cause instanceof TrainerError)) throw cause;
    throw new TrainerError(cause.code, `The teacher of plugin "distill": ${cause.message}`, {
      cause,
      plugin: "distill",
    });
  }
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
      const trainer = new Trainer({ ...config, data: outlined(new Trainer(config).config.data) });
      tellWarnings(trainer.events);
      await checkWeights(trainer);
      await checkTeacher(trainer);
      const session = await trainer.prepare(options.quiet ? undefined : tell);
      const plan = makePlan(trainer, session);
      print(options.json ? toJson(plan) : formatPlan(plan, columns(process.stdout)));
    });
}

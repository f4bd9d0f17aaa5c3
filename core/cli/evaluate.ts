/** `trainer evaluate RUN`: the figures of a finished run, computed again. */
import { Option, type Command } from "commander";
import { evaluate as evaluateSplit } from "../loop/evaluate.js";
import { metricsRecord } from "../loop/summary.js";
import { Trainer } from "../loop/trainer.js";
import { TrainerError } from "../errors.js";
import { weightsFromSafetensors } from "../nn/weights-file.js";
import { toJson } from "../run/json.js";
import { finalEvaluation, openRun } from "./open-run.js";
import { percent, table, tell, tellWarnings } from "./terminal.js";

interface EvaluateOptions {
  data?: string;
  split: "validation" | "test";
  json?: boolean;
}

export function addEvaluate(program: Command): void {
  program
    .command("evaluate <run>")
    .description("evaluate the weights a run ended with")
    .option("--data <path>", "where the data lies now, if it moved")
    .addOption(new Option("--split <name>", "which pictures").choices(["test", "validation"]).default("test"))
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  trainer evaluate runs/cifar100-small-1")
    .action(evaluate);
}

async function evaluate(run: string, { data, split, json }: EvaluateOptions): Promise<void> {
  const opened = openRun(run, { data });
  const trainer = new Trainer(opened.config);
  tellWarnings(trainer.events);
  const session = await trainer.prepare(tell);
  const loader = session.loaders[split];
  if (!loader) throw new TrainerError("ERR_DATA", `This run has no ${split} pictures.`);
  const weights = weightsFromSafetensors(opened.weights, session.model.layer, opened.weightsPath);
  const { height, width, classes } = session.data;
  const metrics = await evaluateSplit({
    model: session.model,
    classes: classes.length,
    height,
    width,
    inputSize: session.inputSize,
    loader,
    evaluation: finalEvaluation(trainer, weights),
  });
  const record = metricsRecord(metrics)!;
  const rows = [["", "pictures", "top-1", "top-5", "loss"]];
  const row = (
    name: string,
    { top1, top5, loss }: { top1: number; top5: number; loss: number },
  ): string[] => [name, String(record.count), percent(top1), percent(top5), loss.toFixed(4)];
  rows.push(row(split, record));
  if (record.singleView) rows.push(row(`${split}, one view`, record.singleView));
  process.stdout.write(`${json ? toJson({ split, ...record }) : table(rows)}\n`);
}

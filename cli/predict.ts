/** `trainer predict RUN IMAGE…`: the classes of images, by a finished run. Needs the run's folder alone, not its data. */

import { type Command, Option } from "commander";
import { csvLine } from "../core/data/csv.js";
import { TrainerError } from "../core/errors.js";
import { percent } from "../core/format.js";
import { toJson } from "../run/json.js";
import { openRun } from "../run/open.js";
import type { Answer } from "../run/predict.js";
import { imageFiles } from "./images.js";
import { whole } from "./options.js";
import { addConfigOption, ownConfig } from "./own-config.js";
import { plain, print, tell, tellWarnings } from "./terminal.js";

interface PredictCommand {
  top: number;
  batchSize?: number;
  config?: string;
  json?: boolean;
  csv?: boolean;
}

export function addPredict(program: Command): void {
  addConfigOption(program.command("predict <run> <images...>"))
    .summary("classify images")
    .description("classify images, or folders of images, with a run's final weights")
    .option("--top <k>", "number of classes to show", whole(1), 5)
    .option("--batch-size <n>", "images in a batch; default: the run's own", whole(1))
    .addOption(new Option("--json", "print one line of JSON per image").conflicts("csv"))
    .addOption(new Option("--csv", "print CSV: image, rank, class, probability, error").conflicts("json"))
    .addHelpText(
      "after",
      `
Images are scaled and centre-cropped to the size of the run's data. They get the
views of the run's evaluation. An image that cannot be decoded is reported, the
others are still classified, and the exit code is 65.

Examples:
  trainer predict runs/cifar100-small-1 cat.jpg dog.png
  trainer predict runs/cifar100-small-1 inbox/ --top 1 --csv > answers.csv`,
    )
    .action(predict);
}

async function predict(path: string, images: string[], options: PredictCommand): Promise<void> {
  const { top, batchSize } = options;
  const files = imageFiles(images);
  const run = await openRun(path, { config: await ownConfig(path, options.config), watch: tellWarnings });
  const format = options.json ? asJson : options.csv ? asCsv : asText;
  if (options.csv) print("image,rank,class,probability,error");
  let failed = 0;
  for await (const answer of run.predictEach(files, { top, batchSize })) {
    const line = format(answer);
    if (line !== undefined) print(line);
    if (!("error" in answer)) continue;
    if (files.length === 1) throw answer.error;
    failed++;
    tell(`warning: ${answer.error.message}`);
  }
  if (failed > 0) throw new TrainerError("ERR_DATA", `${failed} of ${files.length} images have no answer.`);
}

function asText(answer: Answer<string>): string | undefined {
  if ("error" in answer) return undefined;
  const { image, predictions } = answer;
  const rows = predictions.map((each) => `  ${percent(each.probability).padStart(7)}  ${plain(each.class)}`);
  return [plain(image), ...rows].join("\n");
}

function asJson(answer: Answer<string>): string {
  return toJson("error" in answer ? { image: answer.image, error: answer.error.message } : answer);
}

function asCsv(answer: Answer<string>): string {
  const rows =
    "error" in answer
      ? [[answer.image, "", "", "", answer.error.message]]
      : answer.predictions.map((each, at) => [answer.image, `${at + 1}`, each.class, `${each.probability}`, ""]);
  return rows.map(csvLine).join("\n");
}

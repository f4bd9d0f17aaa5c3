/**
 * `trainer predict RUN IMAGE…`: what a finished run says of pictures. Needs the run's folder alone, not its
 * data.
 */
import type { Command } from "commander";
import { toJson } from "../run/json.js";
import { openRun } from "../run/open.js";
import { mustExist } from "./images.js";
import { whole } from "./options.js";
import { percent, plain, print, tellWarnings } from "./terminal.js";

interface PredictOptions {
  top: number;
  json?: boolean;
}

export function addPredict(program: Command): void {
  program
    .command("predict <run> <images...>")
    .summary("classify images")
    .description("classify pictures (JPEG, PNG, WebP) with the weights a run ended with")
    .option("--top <k>", "how many classes to show", whole(1), 5)
    .option("--json", "a JSON line a picture")
    .addHelpText(
      "after",
      `
A picture is scaled and its centre cut out to the size of the run's data, and seen as the run's evaluation
sees it.

Example:
  trainer predict runs/cifar100-small-1 cat.jpg dog.png`,
    )
    .action(predict);
}

async function predict(run: string, images: string[], { top, json }: PredictOptions): Promise<void> {
  mustExist(images);
  const opened = await openRun(run, { watch: tellWarnings });
  for (const image of images) {
    const predictions = await opened.predict(image, { top });
    const lines = json
      ? [toJson({ image, predictions })]
      : [
          plain(image),
          ...predictions.map((each) => `  ${percent(each.probability).padStart(7)}  ${plain(each.class)}`),
        ];
    print(lines.join("\n"));
  }
}

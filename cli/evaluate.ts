/** `trainer evaluate RUN`: the figures of a finished run, computed again, and how far each can be trusted. */

import { type Command, Option } from "commander";
import { percent } from "../core/format.js";
import type { Interval } from "../core/interpret/bootstrap.js";
import type { CalibrationBin } from "../core/interpret/calibration.js";
import type { CalibrationResult } from "../run/calibration.js";
import type { Figure, RunEvaluation } from "../run/evaluate.js";
import { toJson } from "../run/json.js";
import { openRun } from "../run/open.js";
import { whole } from "./options.js";
import { addConfigOption, ownConfig } from "./own-config.js";
import { print, table, tell, tellWarnings } from "./terminal.js";

interface EvaluateCommand {
  config?: string;
  calibrate?: boolean;
  data?: string;
  split: "validation" | "test";
  top: number;
  perClass?: boolean;
  resamples: number;
  json?: boolean;
}

export function addEvaluate(program: Command): void {
  addConfigOption(program.command("evaluate <run>"))
    .summary("accuracy, calibration and classes, with intervals")
    .description("evaluate a run's final weights: accuracy, calibration and classes, with intervals")
    .option("--data <path>", "new place of the run's data, if it has moved")
    .addOption(new Option("--split <name>", "images to evaluate").choices(["test", "validation"]).default("test"))
    .option("--top <k>", "the largest k of top-k", whole(1), 5)
    .option("--per-class", "list every class, not only the ten worst")
    .option("--resamples <n>", "bootstrap samples for the intervals", whole(10), 1000)
    .option("--calibrate", "fit a temperature on the validation images and save it")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Intervals are 95 % intervals over images: percentile bootstrap for metrics,
Wilson for classes. They do not cover other seeds, which need more runs.

ECE is the expected calibration error over 15 bins: the distance between
confidence and accuracy. --calibrate fits one number, the temperature, which
reduces it (Guo et al. 2017). Later predictions use it; no class changes.

Example:
  trainer evaluate runs/cifar100-small-1`,
    )
    .action(evaluate);
}

async function evaluate(path: string, options: EvaluateCommand): Promise<void> {
  const { data, split, top, resamples, json } = options;
  const config = await ownConfig(path, options.config);
  const run = await openRun(path, { config, data, watch: tellWarnings, log: tell });
  const calibrated = options.calibrate ? await run.calibrate() : undefined;
  const found = await run.evaluate({ split, top, resamples });
  print(json ? toJson({ ...found, ...(calibrated && { fitted: calibrated }) }) : formatted(found, calibrated, options));
}

function formatted(
  found: RunEvaluation,
  fitted: CalibrationResult | undefined,
  { perClass }: Pick<EvaluateCommand, "perClass">,
): string {
  const { singleView: one, calibrated } = found;
  return [
    `${found.split}, ${found.count} images${one ? ", mean of several views" : ""}`,
    "",
    table([["", "", "95 % interval"], ...found.figures.map(figureRow)]),
    ...(one ? ["", `one view: top-1 ${percent(one.top1)}, loss ${one.loss.toFixed(4)}`] : []),
    ...(fitted ? ["", fittedLine(fitted)] : []),
    ...(calibrated
      ? [
          "",
          `at temperature ${calibrated.temperature.toFixed(3)}: loss ${calibrated.loss.toFixed(4)}, ECE ${percent(calibrated.ece)}`,
        ]
      : []),
    "",
    classTable(found.perClass, perClass === true),
    "",
    calibrationTable(found.calibration),
  ].join("\n");
}

const fittedLine = ({ temperature, images, before, after }: CalibrationResult): string =>
  `temperature ${temperature.toFixed(3)}, fitted on ${images} validation images: ` +
  `loss ${before.loss.toFixed(4)} -> ${after.loss.toFixed(4)}, ECE ${percent(before.ece)} -> ${percent(after.ece)}`;

function figureRow({ name, value, low, high }: Figure): string[] {
  const shown = /^top-\d+$|^ECE$/.test(name) ? percent : (each: number): string => each.toFixed(4);
  return [name, shown(value), between({ low, high }, shown)];
}

const between = ({ low, high }: Interval, shown = percent): string => `${shown(low)} to ${shown(high)}`;

function calibrationTable(bins: readonly CalibrationBin[]): string {
  const rows = bins
    .filter(({ count }) => count > 0)
    .map(({ from, to, count, confidence, accuracy }) => [
      between({ low: from, high: to }),
      percent(confidence),
      percent(accuracy),
      String(count),
    ]);
  return table([["bin", "confidence", "accuracy", "images"], ...rows]);
}

const worst = 10;

function classTable(figures: RunEvaluation["perClass"], all: boolean): string {
  const sorted = [...figures].sort((a, b) => a.recall - b.recall);
  const shown = all ? figures : sorted.slice(0, worst);
  const rows = shown.map(({ class: name, count, recall, precision, interval }) => [
    name,
    count > 0 ? percent(recall) : "none",
    interval ? between(interval) : "",
    Number.isFinite(precision) ? percent(precision) : "never predicted",
    String(count),
  ]);
  const head = all || figures.length <= worst ? "class" : `the ${worst} worst of ${figures.length} classes`;
  return table([[head, "recall", "95 % interval", "precision", "images"], ...rows]);
}

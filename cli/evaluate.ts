/** `trainer evaluate RUN`: the figures of a finished run, computed again, and how far each can be trusted. */
import { type Command, Option } from "commander";
import { TrainerError } from "../core/errors.js";
import { bootstrap, type Interval } from "../core/interpret/bootstrap.js";
import { type CalibrationBin, calibration, confidences } from "../core/interpret/calibration.js";
import { type ClassFigures, confusion, perClass } from "../core/interpret/confusion.js";
import { wilson } from "../core/interpret/wilson.js";
import { evaluate as evaluateSplit, scores } from "../core/loop/evaluate.js";
import { metricsRecord } from "../core/loop/summary.js";
import type { Outputs } from "../core/loop/types.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { toJson } from "../run/json.js";
import { finalEvaluation } from "../run/network.js";
import { openFolder } from "../run/open.js";
import { whole } from "./options.js";
import { percent, print, table, tell, tellWarnings } from "./terminal.js";

interface EvaluateOptions {
  data?: string;
  split: "validation" | "test";
  top: number;
  perClass?: boolean;
  resamples: number;
  json?: boolean;
}

export function addEvaluate(program: Command): void {
  program
    .command("evaluate <run>")
    .summary("accuracy, calibration and classes, with intervals")
    .description("evaluate the weights a run ended with: accuracy, calibration, classes, with intervals")
    .option("--data <path>", "where the data lies now, if it moved")
    .addOption(new Option("--split <name>", "which pictures").choices(["test", "validation"]).default("test"))
    .option("--top <k>", "the largest k of top-k", whole(1), 5)
    .option("--per-class", "every class, not only the ten worst")
    .option("--resamples <n>", "of the bootstrap behind the intervals", whole(10), 1000)
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Intervals of 95 % are of the pictures: what other pictures of the same kind might have given (percentile bootstrap,
the same ones each time; for what is found of a class Wilson's of a proportion). They do not say how another seed
would have trained: that takes more runs. ECE is the expected calibration error over 15 bins: how far confidence
and accuracy lie apart. Bins without pictures are not shown.

Example:
  trainer evaluate runs/cifar100-small-1`,
    )
    .action(evaluate);
}

/** A figure and the interval around it. */
interface Figure extends Interval {
  readonly name: string;
  readonly value: number;
}

async function evaluate(run: string, options: EvaluateOptions): Promise<void> {
  const { data, split, json } = options;
  const opened = await openFolder(run, { data, watch: tellWarnings });
  const { trainer } = opened;
  const session = await trainer.prepare(tell);
  const loader = session.loaders[split];
  if (!loader) throw new TrainerError("ERR_DATA", `This run has no ${split} pictures.`);
  const weights = weightsFromSafetensors(opened.weights, session.model.layer, opened.weightsPath);
  const { height, width, classes } = session.data;
  const metrics = (await evaluateSplit({
    model: session.model,
    classes: classes.length,
    height,
    width,
    inputSize: session.inputSize,
    loader,
    evaluation: finalEvaluation(trainer, weights),
  }))!;
  const outputs = metrics.outputs!;
  const figures = figuresOf(outputs, classes.length, options);
  const counts = perClass(confusion(outputs, classes.length), classes.length);
  const { bins } = calibration(confidences(outputs, classes.length));
  const named = counts.map((figure, at) => {
    const interval = figure.count > 0 ? wilson(Math.round(figure.recall * figure.count), figure.count) : undefined;
    return { class: classes[at]!, ...figure, interval };
  });
  const text = json
    ? toJson({ split, ...metricsRecord(metrics)!, figures, perClass: named, calibration: bins })
    : [
        `${split}, ${metrics.count} pictures${metrics.singleView ? `, mean of several views` : ""}`,
        "",
        table([["", "", "95 % interval"], ...figures.map(figureRow)]),
        ...(metrics.singleView
          ? [
              "",
              `one view alone: top-1 ${percent(metrics.singleView.top1)}, loss ${metrics.singleView.loss.toFixed(4)}`,
            ]
          : []),
        "",
        classTable(named, options.perClass === true),
        "",
        calibrationTable(bins),
      ].join("\n");
  print(text);
}

/** Top-1, top-k, loss and calibration error. */
function figuresOf(outputs: Outputs, classes: number, { top, resamples }: EvaluateOptions): Figure[] {
  const { loss, rank } = scores(outputs, classes);
  const seen = confidences(outputs, classes);
  const ks = [...new Set([1, top])].filter((k) => k === 1 || k < classes); // of k classes the right one is among k
  const names = [...ks.map((k) => `top-${k}`), "loss", "ECE"];
  const all = Int32Array.from(rank, (_, at) => at);
  const of = (places: Int32Array): number[] => {
    const mean = (value: (place: number) => number): number =>
      places.reduce((sum, place) => sum + value(place), 0) / places.length;
    const { ece } = calibration(seen, { places });
    return [...ks.map((k) => mean((place) => Number(rank[place]! < k))), mean((place) => loss[place]!), ece];
  };
  const values = of(all);
  const intervals = bootstrap(rank.length, of, { resamples });
  return names.map((name, at) => ({ name, value: values[at]!, ...intervals[at]! }));
}

function figureRow({ name, value, low, high }: Figure): string[] {
  const shown = name === "loss" ? (each: number): string => each.toFixed(4) : percent;
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
  return table([["confidence in", "confidence", "accuracy", "pictures"], ...rows]);
}

const worst = 10;

function classTable(figures: readonly (ClassFigures & { class: string; interval?: Interval })[], all: boolean): string {
  const sorted = [...figures].sort((a, b) => a.recall - b.recall);
  const shown = all ? figures : sorted.slice(0, worst);
  const rows = shown.map(({ class: name, count, recall, precision, interval }) => [
    name,
    count > 0 ? percent(recall) : "none",
    interval ? between(interval) : "",
    Number.isFinite(precision) ? percent(precision) : "never said",
    String(count),
  ]);
  const head = all || figures.length <= worst ? "class" : `the ${worst} worst of ${figures.length} classes`;
  return table([[head, "found", "95 % interval", "right when said", "pictures"], ...rows]);
}

/** Progress for people: a live line on a terminal, a line per epoch, and the results at the end. */

import type { Emitter } from "mitt";
import { counted, duration, percent } from "../core/format.js";
import type { Events, MetricsRecord, SummaryRecord } from "../core/loop/events.js";
import type { Progress } from "../core/loop/types.js";
import { monitorName } from "../core/monitor.js";
import { colorsFor, columns, displayWidth, liveLine, plain, shortened, sparkline, table, tell } from "./terminal.js";

/** Epochs in the sparkline of an epoch's line, and on a narrow terminal. */
const [sparkEpochs, fewEpochs] = [16, 8];

/** A run longer than this says so after its first steps, in seconds. */
const longRun = 24 * 3600;

export interface ProgressOptions {
  /** What to say beside the time of a run that takes more than a day. */
  advice?: string;
}

/** Shows a run's progress on standard error until it ends. */
export function showProgress(events: Emitter<Events>, { advice }: ProgressOptions = {}): void {
  const live = liveLine();
  const colors = colorsFor(process.stderr);
  const started = performance.now();
  const left = createEstimate();
  let lastStep = Number.POSITIVE_INFINITY;
  let made = 0; // steps of this process
  const accuracies: number[] = []; // validation of each epoch, or training without validation
  const say = (line: string, paint?: (line: string) => string): void => {
    live.clear();
    tell(line, paint);
  };
  /** The real length: a limit on steps may end the run before its epochs do. */
  const planned = ({ totalSteps, stepsPerEpoch }: Progress): Length => {
    const steps = Math.min(totalSteps, lastStep);
    return { steps, epochs: Math.ceil(steps / stepsPerEpoch) };
  };

  events.on("fit:resume", ({ epoch, step }) => say(`resuming after step ${step}, in epoch ${epoch + 1}`));
  events.on("fit:start", (run) => {
    lastStep = run.lastStep ?? Number.POSITIVE_INFINITY;
    say(startLine(run), (line) => line.replace(plain(run.name), colors.bold));
    if (run.folder !== undefined) say(`run folder ${run.folder}`);
  });
  events.on("step", (step) => {
    const length = planned(step);
    left.step(step, performance.now() / 1000);
    const seconds = left.seconds({ steps: length.steps - step.step, epochs: length.epochs - step.epoch });
    // The first step is slower than the others.
    if (++made === 2 && seconds > longRun) {
      const days = Math.round(seconds / longRun);
      const more = advice === undefined ? "" : ` ${advice}`;
      say(
        `At the speed of its first steps, this run takes about ${days === 1 ? "a day" : `${days} days`} here.${more}`,
      );
    }
    live.draw((width) => fitting(stepParts(step, length, seconds), width).trimEnd());
  });
  events.on("epoch:end", (epoch) => {
    accuracies.push((epoch.validation ?? epoch.train).top1);
    const seconds = (performance.now() - started) / 1000;
    const parts = epochParts(epoch, planned(epoch), seconds);
    if (!process.stderr.isTTY) return say(fitting(parts, Number.POSITIVE_INFINITY));
    const curve = { weight: 5, forms: [curveOf(accuracies, sparkEpochs), curveOf(accuracies, fewEpochs), ""] };
    say(fitting([...parts, curve], columns() - 1));
  });
  events.on("note", ({ message }) => say(message));
  events.on("warning", ({ message }) => say(`warning: ${message}`, colors.yellow));
  events.on("fit:end", () => live.clear());
}

/** Steps and epochs of a whole run. */
interface Length {
  readonly steps: number;
  readonly epochs: number;
}

function startLine(run: Events["fit:start"]): string {
  const length =
    run.lastStep === undefined
      ? `${run.stepsPerEpoch} steps per epoch, as many as the time allows`
      : run.lastStep < run.totalSteps
        ? `${run.lastStep} steps, ${run.stepsPerEpoch} per epoch`
        : `${counted(run.epochs, "epoch")} of ${run.stepsPerEpoch} steps`;
  return (
    `${plain(run.name)}: ${run.parameters.toLocaleString("en")} parameters, ` +
    `${run.backend} on ${counted(run.threads, "thread")}, ` +
    `${run.trainSamples} training images, ${run.validationSamples} for validation, ${length}`
  );
}

/** Of the live line. Padded to one width, so that the layout stays the same from draw to draw. */
function stepParts(step: Events["step"], length: Length, secondsLeft: number): Part[] {
  const place = (value: number, of: number): string => `${String(value).padStart(String(of).length)}/${of}`;
  const [epoch, at] = [place(step.epoch + 1, length.epochs), place(step.step, length.steps)];
  const loss = (digits: number): string => (step.loss < 100 ? step.loss.toFixed(digits) : step.loss.toExponential(1));
  return [
    { weight: 7, forms: [`epoch ${epoch}`, epoch] },
    { weight: 6, forms: [`step ${at}`, at] },
    { weight: 5, forms: [`loss ${loss(3).padStart(6)}`, loss(2).padStart(5)] },
    { weight: 4, forms: [`acc ${percent(step.top1).padStart(7)}`, `${Math.round(100 * step.top1)}%`.padStart(4)] },
    { weight: 2, forms: [`${Math.round(step.imagesPerSecond)} img/s`.padStart(10), ""] },
    { weight: 1, forms: [`lr ${Number(step.learningRate.toPrecision(3))}`.padEnd(11), ""] },
    { weight: 3, forms: [`${duration(secondsLeft)} left`.padEnd(16), compact(secondsLeft).padEnd(6)] },
  ];
}

/** Of the line that an epoch leaves. */
function epochParts(epoch: Events["epoch:end"], length: Length, seconds: number): Part[] {
  const { train, validation } = epoch;
  const trained = [`train ${train.loss.toFixed(3)} ${percent(train.top1)}`, `train ${percent(train.top1)}`];
  const measured: Part[] = validation
    ? [
        { weight: 4, forms: [...trained, ""] },
        {
          weight: 6,
          forms: [`val ${validation.loss.toFixed(3)} ${percent(validation.top1)}`, `val ${percent(validation.top1)}`],
        },
        ...Object.entries(validation.more ?? {}).map(([name, value]) => ({
          weight: 3,
          forms: [`${plain(name)} ${value.toFixed(3)}`, ""],
        })),
      ]
    : [{ weight: 6, forms: trained }];
  return [
    { weight: 7, forms: [`epoch ${epoch.epoch + 1}/${length.epochs}`] },
    ...measured,
    { weight: 1, forms: [`lr ${Number(epoch.learningRate.toPrecision(3))}`, ""] },
    { weight: 2, forms: [`${Math.round(epoch.imagesPerSecond)} img/s`, ""] },
    { weight: 3, forms: [duration(seconds), compact(seconds)] },
  ];
}

const curveOf = (values: readonly number[], most: number): string => sparkline(values.slice(-most));

/** Steps in the median of a step's time: first steps are slow, and the machine's load changes. */
const recentSteps = 31;

/** Estimates the seconds left, from recent steps and from the pauses between epochs. */
export function createEstimate(): {
  /** Counts a finished step. @param now seconds of any clock */
  step(step: Pick<Events["step"], "epoch" | "samples" | "imagesPerSecond">, now: number): void;
  /** @param remaining steps, and epochs whose end is still to come */
  seconds(remaining: { steps: number; epochs: number }): number;
} {
  const recent: number[] = [];
  let ends = { count: 0, seconds: 0 }; // evaluation, logs and checkpoint between two epochs
  let before: { epoch: number; at: number } | undefined;
  const median = (): number => [...recent].sort((a, b) => a - b)[(recent.length - 1) >> 1] ?? 0; // the lower of two: the first step is slow
  return {
    step({ epoch, samples, imagesPerSecond }, now) {
      // The wall clock includes work between steps. The first step of an epoch has only its own time.
      const took = before?.epoch === epoch ? now - before.at : samples / imagesPerSecond;
      if (before && epoch === before.epoch + 1) {
        ends = { count: ends.count + 1, seconds: ends.seconds + Math.max(0, now - before.at - took) };
      }
      recent.push(took);
      if (recent.length > recentSteps) recent.shift();
      before = { epoch, at: now };
    },
    seconds: ({ steps, epochs }) => steps * median() + (ends.count > 0 ? (epochs * ends.seconds) / ends.count : 0),
  };
}

/** 12h34m, 3m05s, 27s. */
const compact = (seconds: number): string => duration(seconds).replaceAll(" ", "").replace("min", "m");

/** A part of a line: forms from the longest to the shortest; "" where the part may be omitted. */
export interface Part {
  readonly forms: readonly string[];
  /** Parts of less weight are shortened first. */
  readonly weight: number;
}

/** Fits parts into a line of `width` columns. Where even the shortest forms are too long, parts of the least weight go. */
export function fitting(parts: readonly Part[], width: number): string {
  const forms = parts.map((part) => [...part.forms]);
  const order = parts.map((_, at) => at).sort((a, b) => parts[a]!.weight - parts[b]!.weight);
  const line = (gap = "  "): string => forms.flatMap(([form]) => (form ? [form] : [])).join(gap);
  const tooWide = (gap?: string): boolean => displayWidth(line(gap)) > width;
  for (const at of order) while (tooWide() && forms[at]!.length > 1) forms[at]!.shift();
  if (!tooWide()) return line();
  for (const at of order.slice(0, -1)) if (tooWide(" ")) forms[at] = [];
  return shortened(line(" "), width);
}

/** Shown beside the summary. */
interface ResultsContext {
  /** Number of classes; top-5 is shown for more than five. */
  classes?: number;
  folder?: string;
  /** The report's path, where it was written. */
  report?: string;
  /** The run as a shell takes it, where it can be used. */
  usable?: string;
}

/** "3 epochs, 48 steps"; "2 steps" of a run that ended in its first epoch. */
const lengthOf = ({ epochs, steps }: SummaryRecord): string =>
  [...(epochs > 0 ? [counted(epochs, "epoch")] : []), counted(steps, "step")].join(", ");

/** Formats the results: accuracies, time, and the cost of each plugin. */
export function formatResults(
  summary: SummaryRecord,
  { classes, folder, report, usable }: ResultsContext = {},
): string {
  const top5 = classes === undefined || classes > 5;
  const more = Object.keys(summary.test?.more ?? summary.validation?.more ?? {});
  const row = (name: string, metrics: Omit<MetricsRecord, "count" | "source"> & { source?: string }): string[] => [
    name,
    percent(metrics.top1),
    ...(top5 ? [percent(metrics.top5)] : []),
    metrics.loss.toFixed(4),
    ...more.map((name) => metrics.more?.[name]?.toFixed(4) ?? ""),
    metrics.source ?? "",
  ];
  const rows = (
    [
      ["validation", summary.validation],
      ["test", summary.test],
    ] as const
  ).flatMap(([name, metrics]) =>
    metrics
      ? [
          row(name, metrics),
          ...(metrics.singleView ? [row(`${name}, one view`, { ...metrics.singleView, source: metrics.source })] : []),
        ]
      : [],
  );
  const colors = colorsFor(process.stdout);
  const { best } = summary;
  const costs = Object.entries(summary.costs).filter(([, { millisecondsPerStep }]) => millisecondsPerStep > 0);
  const lines = [
    "",
    `${colors.bold(plain(summary.preset))}: ended after ${lengthOf(summary)} (${plain(summary.stopReason)})`,
    `training took ${duration(summary.seconds)}, ${Math.round(summary.imagesPerSecond)} images/s`,
  ];
  if (rows.length > 0)
    lines.push(
      "",
      table([["", "top-1", ...(top5 ? ["top-5"] : []), "loss", ...more.map(plain), "weights"], ...rows], "  "),
    );
  if (best && summary.epochs > 1) {
    const value = best.metric === "top1" || best.metric === "top5" ? percent(best.value) : best.value.toFixed(4);
    lines.push(`best epoch ${best.epoch + 1}: ${plain(monitorName(best.metric))} ${value}`);
  }
  if (costs.length > 0) {
    const cells = costs.map(([name, { millisecondsPerStep, share }]) => [
      name,
      millisecondsPerStep.toFixed(2),
      percent(share),
    ]);
    lines.push("", table([["plugin", "ms/step", "share"], ...cells], "  "));
  }
  if (folder !== undefined) lines.push("", `run folder ${plain(folder)}`);
  if (report !== undefined) lines.push(`report ${plain(report)}`);
  if (usable !== undefined) {
    lines.push(
      `to classify images: trainer predict ${plain(usable)} photo.jpg`,
      `to use it elsewhere: trainer export ${plain(usable)} --to onnx,litert`,
    );
  }
  return lines.join("\n");
}

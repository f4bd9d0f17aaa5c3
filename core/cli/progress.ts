/**
 * A run as people watch it: one live line on a terminal, a line an epoch elsewhere, and the results at the
 * end.
 */
import type { Emitter } from "mitt";
import type { Events, MetricsRecord, SummaryRecord } from "../loop/events.js";
import { colorsFor, columns, duration, percent, sparkline, table, tell } from "./terminal.js";

/** Milliseconds between two drawings of the live line. */
const pace = 100;
/** Epochs in the curve at the end of an epoch's line. */
const sparkEpochs = 16;

/** Watches a run until it ends, on standard error. */
export function showProgress(events: Emitter<Events>): void {
  const live = process.stderr.isTTY === true;
  const colors = colorsFor(process.stderr);
  const started = performance.now();
  let drawn = 0;
  let onScreen = false;
  let trained = 0; // steps, and the seconds they took: the estimate looks at these only
  let seconds = 0;
  const accuracies: number[] = []; // of each epoch: held out, or of training where nothing is
  const clear = (): void => {
    if (onScreen) process.stderr.write("\r\x1b[K");
    onScreen = false;
  };
  const say = (line: string): void => {
    clear();
    tell(line);
  };

  events.on("fit:resume", ({ epoch, step }) => say(`going on after step ${step}, in epoch ${epoch + 1}`));
  events.on("fit:start", (run) => {
    say(
      `${colors.bold(run.name)}: ${run.parameters.toLocaleString("en")} parameters, ` +
        `${run.backend} on ${run.threads} ${run.threads === 1 ? "thread" : "threads"}, ` +
        `${run.trainSamples} pictures, ${run.heldSamples} held out, ${run.epochs} epochs of ${run.stepsPerEpoch} steps`,
    );
    if (run.folder !== undefined) say(`run folder ${run.folder}`);
  });
  events.on("step", (step) => {
    trained++;
    seconds += step.samples / step.imagesPerSecond;
    const now = performance.now();
    if (!live || now - drawn < pace) return;
    drawn = now;
    const left = (seconds / trained) * (step.totalSteps - step.step);
    const parts = [
      `epoch ${step.epoch + 1}/${step.epochs}`,
      `step ${step.step}/${step.totalSteps}`,
      `loss ${step.loss.toFixed(3)}`,
      `acc ${percent(step.top1)}`,
      `${Math.round(step.imagesPerSecond)} img/s`,
      `${duration(left)} left`,
      `lr ${Number(step.learningRate.toPrecision(3))}`,
    ];
    process.stderr.write(`\r\x1b[K${fitting(parts, columns() - 1)}`);
    onScreen = true;
  });
  events.on("epoch:end", (epoch) => {
    const { validation } = epoch;
    accuracies.push((validation ?? epoch.train).top1);
    const curve = live ? sparkline(accuracies.slice(-sparkEpochs)) : "";
    const parts = [
      `epoch ${epoch.epoch + 1}/${epoch.epochs}`,
      `train ${epoch.train.loss.toFixed(3)} ${percent(epoch.train.top1)}`,
      ...(validation ? [`held out ${validation.loss.toFixed(3)} ${percent(validation.top1)}`] : []),
      `lr ${Number(epoch.learningRate.toPrecision(3))}`,
      `${Math.round(epoch.imagesPerSecond)} img/s`,
      duration((performance.now() - started) / 1000),
      ...(curve === "" ? [] : [curve]),
    ];
    say(live ? fitting(parts, columns() - 1) : parts.join("  "));
  });
  events.on("warning", ({ message }) => say(colors.yellow(`warning: ${message}`)));
  events.on("fit:end", clear);
}

/** As many whole parts as fit; the first always, cut where it must be. */
export function fitting(parts: readonly string[], width: number): string {
  let line = parts[0]!.slice(0, Math.max(0, width));
  for (const part of parts.slice(1)) {
    if (line.length + 2 + part.length > width) break;
    line += `  ${part}`;
  }
  return line;
}

/**
 * The results: accuracies, time, and what each plugin cost.
 *
 * @param report the page, where there is one
 */
export function formatResults(summary: SummaryRecord, folder?: string, report?: string): string {
  const row = (
    name: string,
    metrics: Omit<MetricsRecord, "count" | "source"> & { source?: string },
  ): string[] => [
    name,
    percent(metrics.top1),
    percent(metrics.top5),
    metrics.loss.toFixed(4),
    metrics.source ?? "",
  ];
  const rows = (
    [
      ["held out", summary.validation],
      ["test", summary.test],
    ] as const
  ).flatMap(([name, metrics]) =>
    metrics
      ? [
          row(name, metrics),
          ...(metrics.singleView
            ? [row(`${name}, one view`, { ...metrics.singleView, source: metrics.source })]
            : []),
        ]
      : [],
  );
  const colors = colorsFor(process.stdout);
  const costs = Object.entries(summary.costs).filter(
    ([, { millisecondsPerStep }]) => millisecondsPerStep > 0,
  );
  const lines = [
    "",
    `${colors.bold(summary.preset)}: ended after ${summary.epochs} epochs and ${summary.steps} steps ` +
      `(${summary.stopReason})`,
    `training took ${duration(summary.seconds)}, ${Math.round(summary.imagesPerSecond)} images/s`,
  ];
  if (rows.length > 0) lines.push("", table([["", "top-1", "top-5", "loss", "weights"], ...rows], "  "));
  if (costs.length > 0) {
    const cells = costs.map(([name, { millisecondsPerStep, share }]) => [
      name,
      millisecondsPerStep.toFixed(2),
      percent(share),
    ]);
    lines.push("", table([["plugin", "ms a step", "share"], ...cells], "  "));
  }
  if (folder !== undefined) lines.push("", `run folder ${folder}`);
  if (report !== undefined) lines.push(`Report: ${report}`);
  return lines.join("\n");
}

/** A run's page, from what the run's folder holds and nothing else. */

import { createHash } from "node:crypto";
import { basename } from "node:path";
import { counted, duration, percent, short } from "../core/format.js";
import { heatColours } from "../core/interpret/overlay.js";
import type { EpochRecord, MetricsRecord, SummaryRecord } from "../core/loop/events.js";
import { improves, type Monitor, monitored, monitorName } from "../core/monitor.js";
import { configIn, type RunConfigRecord } from "../run/files.js";
import { toJson } from "../run/json.js";
import type { Block, Cell, Format, Live, Page, Series } from "./blocks.js";
import { accuracy, confusionFigures, fewImages } from "./classes.js";
import { evaluated, figuresIn, moreNames } from "./figures.js";
import type { Kept, SplitRecord, StripRecord } from "./kept.js";
import { clockOf, type RunHistory, secondsLine } from "./run-history.js";
import { capital, compact, withoutHome } from "./text.js";

export interface RunParts {
  readonly folder: string;
  readonly record?: RunConfigRecord;
  readonly history: RunHistory;
  readonly summary?: SummaryRecord;
  readonly kept: Kept;
  readonly status: "running" | "ended" | "broke off" | "summary damaged";
  /** What could not be read of the run, in sentences. */
  readonly problems?: readonly string[];
  /** Step of the newest checkpoint. */
  readonly checkpoint?: number;
  /** An image of the run's folder as a data URL; undefined where there is none. */
  image(path: string): string | undefined;
}

/** Seconds between two reloads of the page of a run under way. */
const reload = 15;

/** "8 epochs"; "the epochs of 1 h 00 min" where time ends the run. */
const lengthOf = ({ epochs, maxTime }: RunConfigRecord): string =>
  epochs === undefined ? `the epochs of ${duration(maxTime!)}` : counted(epochs, "epoch");

export function runPage(parts: RunParts): Page {
  const { folder, record, history, summary, kept, status, problems = [] } = parts;
  const name = record?.name ?? basename(folder);
  const last = history.epochs.at(-1);
  const state = {
    running: `Under way: ${last ? last.epoch + 1 : 0} of ${record === undefined ? "? epochs" : lengthOf(record)} done`,
    ended: summary ? outcome(summary, record) : "Ended",
    "broke off": `Its process was killed after ${counted(history.steps.buckets.at(-1)?.step ?? 0, "step")}. This page shows what it had written`,
    "summary damaged": "Its summary is damaged: this page does not know how it ended",
  }[status];
  const now = new Date();
  return {
    title: basename(folder).startsWith(name) ? basename(folder) : `${name}, ${basename(folder)}`, // cifar-3 of cifar says both
    summary: `${what(record)}${state}. Written ${now.toISOString().slice(0, 19).replace("T", " ")} UTC.`,
    ...(status === "running" ? { live: liveOf(parts, now.getTime()) } : {}),
    ...(record?.id === undefined ? {} : { key: keyOf(record.id) }),
    clocks: [clockOf(history)],
    blocks: [
      ...headed("Overview", [
        ...toned("Why the run failed", "bad", failureOf(summary)),
        ...tiles(parts),
        ...toned("Warnings", "warning", [...problems, ...history.warnings].join("\n")),
        facts(parts),
        ...results(summary),
      ]),
      ...headed("Curves", charts(history)),
      ...headed("Epochs", epochs(history.epochs, record)),
      ...Object.entries(kept.splits).flatMap(([split, each]) => headed(capital(split), classes(split, each, parts))),
      ...headed("Training images", strip(kept.augmented, parts)),
      ...headed("Record", [
        ...costs(summary),
        ...text("Plan", kept.plan && withoutHome(kept.plan)),
        ...text("Config", record && withoutHome(toJson(configIn(record), 2))),
      ]),
    ],
  };
}

/** What the run is, to somebody who has never seen it: "resnet18 on shapes. " */
const what = (record: RunConfigRecord | undefined): string =>
  record ? withoutHome(`${record.model.name} on ${dataName(record)}. `) : "";

/** A data set of the user's own files is known by its place. */
function dataName({ data: { name, options } }: RunConfigRecord): string {
  const path: unknown = options?.["path"]; // a damaged record may lack them
  return name === "imageFolder" && typeof path === "string" ? basename(path) : name;
}

const failureOf = (summary: SummaryRecord | undefined): string =>
  /^failed: ([^]*)/.exec(summary?.stopReason ?? "")?.[1] ?? "";

/** How a run ended, in words that need no knowledge of its reasons. */
function outcome({ stopReason, steps, epochs }: SummaryRecord, record: RunConfigRecord | undefined): string {
  if (stopReason === "epochs") return `Finished: ${counted(epochs, "epoch")}`;
  if (stopReason.startsWith("failed: ")) return `Failed after ${counted(steps, "step")}`;
  const done =
    record?.epochs === undefined ? counted(epochs, "epoch") : `${epochs} of ${counted(record.epochs, "epoch")}`;
  return `Ended after ${done}, ${counted(steps, "step")}: ${stopReason}`;
}

/** The id itself stays in the folder: this machine finds a run's config by it. */
const keyOf = (id: string): string => createHash("sha256").update(`page ${id}`).digest("hex");

const headed = (title: string, blocks: readonly Block[]): Block[] =>
  blocks.length > 0 ? [{ kind: "heading", title }, ...blocks] : [];

function liveOf({ history, record, checkpoint }: RunParts, written: number): Live {
  const done = history.steps.buckets.at(-1)?.step ?? 0;
  const totals = [history.totalSteps, record?.maxSteps].filter((each) => typeof each === "number");
  const total = totals.length > 0 ? Math.min(...totals) : undefined;
  const seconds = secondsLine(history);
  // Of the last quarter: the first steps are slow, and a machine that others share changes.
  const from = seconds?.steps.findIndex((step) => step >= 0.75 * done) ?? -1;
  const last = (seconds?.steps.length ?? 0) - 1;
  const rate =
    seconds && from >= 0 && last > from
      ? (seconds.values[last]! - seconds.values[from]!) / (seconds.steps[last]! - seconds.steps[from]!)
      : undefined;
  return {
    reload,
    written,
    done,
    ...(total === undefined ? {} : { total: Math.max(total, done) }),
    ...(total === undefined || rate === undefined ? {} : { secondsLeft: Math.max(0, total - done) * rate }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

type Tile = Extract<Block, { kind: "tiles" }>["items"][number];

/** The figures that a reader asks for first. */
function tiles({ summary, history, record }: RunParts): Block[] {
  const last = history.epochs.findLast(({ validation }) => validation !== undefined);
  const validation = summary ? summary.validation : last?.validation;
  const best = bestEpoch(history.epochs, record?.monitor);
  const tile = (label: string, format: Format, value: Cell | undefined, note?: string): Tile[] =>
    value === undefined || value === null ? [] : [{ label, format, value, ...(note === undefined ? {} : { note }) }];
  const of = (metrics: MetricsRecord | undefined): string | undefined =>
    typeof metrics?.count === "number" ? `of ${metrics.count.toLocaleString("en")} images` : undefined;
  const seconds = summary?.seconds ?? secondsLine(history)?.values.at(-1);
  const train = history.epochs.at(-1)?.train;
  const items = [
    ...tile("Test accuracy", "percent", accuracy(summary?.test), of(summary?.test)),
    ...tile("Validation accuracy", "percent", accuracy(validation), of(validation)),
    ...(best && history.epochs.length > 1
      ? tile("Best epoch", "integer", best.epoch + 1, `${monitorName(best.metric)} ${shown(best.metric, best.value)}`)
      : []),
    ...tile("Validation loss", "number", validation?.loss, train && `training ${short(Number(train.loss), 4)}`),
    ...tile(
      "Training time",
      "text",
      seconds === undefined ? undefined : duration(seconds),
      counted(history.epochs.length, "epoch"),
    ),
    ...tile(
      "Images per second",
      "number",
      summary && Number(summary.imagesPerSecond.toPrecision(3)),
      record?.environment?.backend,
    ),
    ...tile("Parameters", "text", summary && compact(summary.parameters), record?.model.name),
  ];
  return items.length > 0 ? [{ kind: "tiles", title: "Headline figures", items }] : [];
}

const shown = (metric: string, value: number): string =>
  metric === "top1" || metric === "top5" ? percent(value) : short(value, 4);

/** By the run's monitor; runs of versions without one go by the validation loss. */
function bestEpoch(
  epochs: readonly EpochRecord[],
  { metric, direction }: Monitor = { metric: "loss", direction: "lower" },
): { metric: string; epoch: number; value: number } | undefined {
  let best: { epoch: number; value: number } | undefined;
  for (const each of epochs) {
    const value: unknown = monitored(each, metric); // of a file that anybody may have written
    if (typeof value === "number" && improves(value, best?.value, direction)) best = { epoch: each.epoch, value };
  }
  return best && { metric, ...best };
}

function facts({ record, summary, kept, folder, history }: RunParts): Block {
  const environment = record?.environment;
  const rows: [string, string | undefined][] = [
    ["command", kept.command],
    ["folder", folder],
    ["network", record?.model.name],
    ["parameters", summary?.parameters.toLocaleString("en")],
    [
      "data",
      record && [record.data.name, record.data.options?.["path"]].filter((each) => typeof each === "string").join(", "),
    ],
    ["seed", record && String(record.seed)],
    [
      "epochs",
      summary &&
        (record?.maxTime === undefined ? `${summary.epochs} of ${record?.epochs ?? "?"}` : `${summary.epochs}`),
    ],
    [
      "time of training",
      record?.maxTime === undefined ? undefined : `${duration(record.maxTime)}, which the schedule followed`,
    ],
    ["optimizer steps", (summary?.steps ?? history.steps.buckets.at(-1)?.step ?? 0).toLocaleString("en")],
    [
      "backend",
      environment &&
        [
          environment.backend,
          environment.backendVersion,
          environment.threads && `on ${counted(environment.threads, "thread")}`,
        ]
          .filter(Boolean)
          .join(" "),
    ],
    ["processor", environment?.processor],
    ["fitloop", environment?.fitloop],
    ["Node", environment && [environment.node, environment.platform].filter(Boolean).join(", ")],
    ["config file", record?.source?.path],
  ];
  return {
    kind: "facts",
    title: "The run",
    rows: rows.flatMap(([label, value]): [string, string][] =>
      value === undefined ? [] : [[label, withoutHome(value)]],
    ),
  };
}

function results(summary: SummaryRecord | undefined): Block[] {
  if (!summary) return [];
  const splits = [
    ["validation", summary.validation],
    ["test", summary.test],
  ] as const;
  const more = moreNames(splits.map(([, metrics]) => metrics));
  const rows = splits.flatMap(([name, metrics]): Cell[][] => {
    if (!metrics) return [];
    const figures = figuresIn(metrics);
    const { top5, loss, source, singleView, count } = metrics;
    return [
      [name, accuracy(metrics) ?? null, top5, loss, ...more.map((each) => figures[each] ?? null), source],
      ...(singleView
        ? [
            [
              `${name}, one view`,
              accuracy({ ...singleView, count }) ?? null,
              singleView.top5,
              singleView.loss,
              ...more.map(() => null),
              source,
            ],
          ]
        : []),
    ];
  });
  if (rows.length === 0) return [];
  return [
    {
      kind: "table",
      title: "Results",
      columns: [
        { name: "split", format: "text" },
        { name: "top-1", format: "percent", bar: true },
        { name: "top-5", format: "percent" },
        { name: "loss", format: "number" },
        ...more.map((name) => ({ name, format: "number" as const })),
        { name: "weights", format: "text" },
      ],
      rows,
    },
  ];
}

/** A figure of the steps as a line; with a band from least to greatest once a point stands for several steps. */
function ofSteps({ steps }: RunHistory, figure: string, name: string): Series {
  const known = steps.buckets.filter(({ figures }) => figures.has(figure));
  const pick = (part: "mean" | "low" | "high"): number[] =>
    known.map(({ figures }) => {
      const found = figures.get(figure)!;
      return part === "mean" ? found.sum / found.count : found[part];
    });
  const banded = known.some(({ count }) => count > 1);
  return {
    name,
    x: known.map(({ step }) => step),
    y: pick("mean"),
    ...(banded ? { low: pick("low"), high: pick("high") } : {}),
    clock: 0,
  };
}

function charts(history: RunHistory): Block[] {
  if (history.steps.buckets.length === 0) return [];
  const ends = history.epochs.map(({ step }) => step);
  const shared = { kind: "chart", xLabel: "step", epochs: ends } as const;
  const learning = (title: string, figure: "loss" | "top1", training: string): Block => {
    const validation = evaluated(history, figure);
    const isLoss = figure === "loss";
    return {
      ...shared,
      title,
      format: isLoss ? "number" : "percent",
      yLabel: isLoss ? "loss" : "top-1 accuracy",
      best: isLoss ? "least" : "greatest",
      series: [
        { ...ofSteps(history, figure, training), look: "noisy" },
        ...(validation.x.length > 0 ? [{ name: "validation", ...validation, clock: 0 }] : []),
      ],
    };
  };
  const plain = (title: string, figure: string, name: string, look?: "noisy"): Block => ({
    ...shared,
    title,
    format: "number",
    yLabel: name,
    series: [{ ...ofSteps(history, figure, name), ...(look ? { look } : {}) }],
  });
  const metrics = moreNames(history.epochs.map(({ validation }) => validation));
  return [
    learning("Loss", "loss", "training"),
    learning("Accuracy", "top1", "training, augmented"),
    ...metrics.map(
      (name): Block => ({
        ...shared,
        title: capital(name),
        format: "number",
        yLabel: name,
        series: [{ name: "validation", ...evaluated(history, name), clock: 0 }],
      }),
    ),
    plain("Learning rate", "learningRate", "learning rate"),
    plain("Gradient norm", "gradientNorm", "norm of all gradients", "noisy"),
    plain("Throughput", "imagesPerSecond", "images per second", "noisy"),
  ];
}

function epochs(all: readonly EpochRecord[], record: RunConfigRecord | undefined): Block[] {
  if (all.length === 0) return [];
  const more = moreNames(all.map(({ validation }) => validation));
  const { metric, direction } = record?.monitor ?? {};
  return [
    {
      kind: "table",
      title: "Epochs",
      first: 12,
      columns: [
        { name: "epoch", format: "integer" },
        { name: "training loss", format: "number", better: "lower" },
        { name: "training top-1", format: "percent", better: "higher" },
        { name: "validation loss", format: "number", better: "lower" },
        { name: "validation top-1", format: "percent", better: "higher" },
        ...more.map((name) => ({
          name: `validation ${name}`,
          format: "number" as const,
          ...(name === metric && direction ? { better: direction } : {}),
        })),
        { name: "learning rate", format: "number" },
        { name: "images/s", format: "integer" },
      ],
      rows: [...all]
        .reverse()
        .map(({ epoch, train, validation, learningRate, imagesPerSecond }) => [
          epoch + 1,
          train.loss,
          train.top1,
          validation?.loss ?? null,
          validation?.top1 ?? null,
          ...more.map((name) => figuresIn(validation)[name] ?? null),
          learningRate,
          imagesPerSecond,
        ]),
    },
  ];
}

function classes(split: string, record: SplitRecord, parts: RunParts): Block[] {
  const { classes: names, counts, source } = record;
  const { figures, confused } = confusionFigures(counts, names);
  return [
    { kind: "confusion", title: `Confusion matrix: ${split}`, note: `Weights: ${source}.`, classes: names, counts },
    {
      kind: "table",
      title: `Classes: ${split}`,
      note: `Lowest recall first, with its 95 % interval. A share of fewer than ${fewImages} images is given as counts, without a bar.`,
      first: 12,
      columns: [
        { name: "class", format: "text" },
        { name: "recall", format: "percent", bar: true },
        { name: "precision", format: "percent", bar: true },
        { name: "images", format: "integer" },
      ],
      rows: figures,
    },
    ...(confused.length > 0
      ? [
          {
            kind: "table" as const,
            title: `Most confused: ${split}`,
            first: 12,
            columns: [
              { name: "true class", format: "text" as const },
              { name: "predicted", format: "text" as const },
              { name: "images", format: "integer" as const },
              { name: "share of the true class", format: "percent" as const },
            ],
            rows: confused,
          },
        ]
      : []),
    ...worstImages(split, record, parts),
  ];
}

function worstImages(split: string, { worst, step, worstStep = step }: SplitRecord, { image }: RunParts): Block[] {
  const items = worst.flatMap(({ path, lines, correct }) => {
    const src = image(path);
    return src === undefined ? [] : [{ src, lines, correct }];
  });
  if (items.length === 0) return [];
  return [
    {
      kind: "images",
      title: `Worst images: ${split}`,
      note: `The lowest probability of the true class first. Left the image, right its Grad-CAM for the predicted class.${worstStep === step ? "" : ` Of the evaluation after step ${worstStep}.`}`,
      items,
      colours: heatColours,
    },
  ];
}

function strip(record: StripRecord | undefined, { image }: RunParts): Block[] {
  const src = record && image(record.path);
  if (!record || src === undefined) return [];
  return [
    {
      kind: "strip",
      title: "Training images as the network saw them",
      note: `After all augmentation: ${record.caption}.`,
      src,
      columns: record.columns,
    },
  ];
}

function costs(summary: SummaryRecord | undefined): Block[] {
  const rows = Object.entries(summary?.costs ?? {}).map(([name, { millisecondsPerStep, share }]) => [
    name,
    millisecondsPerStep,
    share,
  ]);
  if (rows.length === 0) return [];
  return [
    {
      kind: "table",
      title: "Cost of each plugin",
      columns: [
        { name: "plugin", format: "text" },
        { name: "milliseconds a step", format: "number" },
        { name: "share of training", format: "percent", bar: true },
      ],
      rows,
    },
  ];
}

function text(title: string, content: string | undefined): Block[] {
  return content ? [{ kind: "text", title, text: content }] : [];
}

/** Sentences that a reader must not miss. */
function toned(title: string, tone: "bad" | "warning", content: string): Block[] {
  return content === "" ? [] : [{ kind: "text", title, text: withoutHome(content), open: true, tone }];
}

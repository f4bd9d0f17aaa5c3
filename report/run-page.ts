/** A run's page, from what the run keeps of itself and nothing else. */
import { basename } from "node:path";
import type { EpochRecord, MetricsRecord, SummaryRecord } from "../core/loop/events.js";
import { toJson } from "../run/json.js";
import type { MetricsLine } from "../run/metrics.js";
import { configIn, type RunConfigRecord } from "../run/record.js";
import { aligned, type Block, type Page, type Series } from "./blocks.js";
import { confusionFigures } from "./classes.js";
import { createHistory, type History } from "./history.js";

/** What the lines of `metrics.jsonl` come to. */
export interface Told {
  readonly steps: History;
  readonly epochs: readonly EpochRecord[];
  readonly warnings: readonly string[];
  /** A line that says less than it should, of another version say, is left out. */
  add(line: MetricsLine): void;
}

export function createTold(): Told {
  const steps = createHistory();
  const epochs: EpochRecord[] = [];
  const warnings: string[] = [];
  /** What a run has gone back over and says again counts once, as in the history. */
  const forgetFrom = (step: number): void => {
    while (epochs.length > 0 && epochs.at(-1)!.step >= step) epochs.pop();
  };
  return {
    steps,
    epochs,
    warnings,
    add(line) {
      if (line.event === "step" && typeof line.step === "number") {
        forgetFrom(line.step);
        steps.add(line.step, line);
      } else if (isEpoch(line)) {
        forgetFrom(line.step);
        epochs.push(line);
      } else if (line.event === "warning" && typeof line.message === "string") warnings.push(line.message);
    },
  };
}

const isFigure = (value: unknown): boolean => typeof value === "number" || typeof value === "string"; // "NaN", read back
const isFigures = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  "loss" in value &&
  isFigure(value.loss) &&
  "top1" in value &&
  isFigure(value.top1);

function isEpoch(line: MetricsLine): line is MetricsLine & EpochRecord {
  const { event, epoch, step, train, validation, learningRate, imagesPerSecond } = line;
  if (event !== "epoch:end" || typeof epoch !== "number" || typeof step !== "number") return false;
  return (
    isFigures(train) &&
    (validation === undefined || isFigures(validation)) &&
    isFigure(learningRate) &&
    isFigure(imagesPerSecond)
  );
}

/** What a run keeps for its report alone: `report/kept.json`. */
export interface Kept {
  /** As typed. */
  readonly command?: string;
  readonly plan?: string;
  /** Split -> what the last evaluation of it came to. */
  readonly splits: Readonly<Record<string, SplitRecord>>;
  readonly augmented?: PictureRecord;
}

export interface SplitRecord {
  readonly step: number;
  readonly source: string;
  readonly classes: readonly string[];
  /** [true, said], row by row. */
  readonly counts: readonly number[];
  readonly worst: readonly PictureRecord[];
}

export interface PictureRecord {
  /** Relative to the run's folder. */
  readonly path: string;
  readonly caption: string;
}

export interface RunParts {
  readonly folder: string;
  readonly record?: RunConfigRecord;
  readonly told: Told;
  readonly summary?: SummaryRecord;
  readonly kept: Kept;
  readonly status: "running" | "ended" | "broke off";
  /** A PNG of the run's folder as a data URL; undefined where it is not there. */
  picture(path: string): string | undefined;
}

/** Seconds between two looks at a run under way. */
const reload = 15;

export function runPage(parts: RunParts): Page {
  const { folder, record, told, summary, kept, status } = parts;
  const name = record?.name ?? basename(folder);
  const last = told.epochs.at(-1);
  const doing = {
    running: `under way: ${last ? last.epoch + 1 : 0} of ${record === undefined ? "? epochs" : counted(record.epochs, "epoch")} done`,
    ended: summary ? `ended: ${summary.stopReason}` : "ended",
    "broke off": "broke off without a word; what it had kept is shown",
  }[status];
  return {
    title: basename(folder).startsWith(name) ? basename(folder) : `${name}, ${basename(folder)}`, // cifar-3 of cifar says both
    summary: `${doing}. Written ${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC.`,
    ...(status === "running" ? { reload } : {}),
    blocks: [
      facts(parts),
      ...results(summary),
      ...charts(told),
      ...epochs(told.epochs),
      ...Object.entries(kept.splits).flatMap(([split, each]) => classes(split, each, parts)),
      ...pictures("Training pictures as the network saw them", kept.augmented ? [kept.augmented] : [], parts),
      ...costs(summary),
      ...text("Warnings", told.warnings.join("\n"), true),
      ...text("The plan", kept.plan),
      ...text("Config", record && toJson(configIn(record), 2)),
    ],
  };
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

function facts({ record, summary, kept, folder, told }: RunParts): Block {
  const environment = record?.environment;
  const seconds = summary?.seconds;
  const rows: [string, string | undefined][] = [
    ["to repeat it", kept.command],
    ["folder", folder],
    ["network", record?.model.name],
    ["parameters", summary?.parameters.toLocaleString("en")],
    ["data", record?.data.name],
    ["seed", record && String(record.seed)],
    ["epochs", summary && `${summary.epochs} of ${record?.epochs ?? "?"}`],
    ["optimizer steps", String(summary?.steps ?? told.steps.buckets.at(-1)?.step ?? 0)],
    [
      "training",
      seconds === undefined
        ? undefined
        : `${Math.round(seconds).toLocaleString("en")} s, ${Math.round(summary!.imagesPerSecond).toLocaleString("en")} images/s`,
    ],
    [
      "backend",
      environment &&
        `${environment.backend} ${environment.backendVersion} on ${counted(environment.threads, "thread")}`,
    ],
    ["processor", environment?.processor],
    ["fitloop", environment?.fitloop],
    ["Node", environment && `${environment.node}, ${environment.platform}`],
    ["config file", record?.source?.path],
  ];
  return {
    kind: "facts",
    title: "The run",
    rows: rows.filter((row): row is [string, string] => row[1] !== undefined),
  };
}

function results(summary: SummaryRecord | undefined): Block[] {
  if (!summary) return [];
  const row = (name: string, { top1, top5, loss }: Pick<MetricsRecord, "top1" | "top5" | "loss">, weights: string) => [
    name,
    top1,
    top5,
    loss,
    weights,
  ];
  const rows = (
    [
      ["held out", summary.validation],
      ["test", summary.test],
    ] as const
  ).flatMap(([name, metrics]) =>
    metrics
      ? [
          row(name, metrics, metrics.source),
          ...(metrics.singleView ? [row(`${name}, one view`, metrics.singleView, metrics.source)] : []),
        ]
      : [],
  );
  if (rows.length === 0) return [];
  return [
    {
      kind: "table",
      title: "Results",
      columns: [
        { name: "pictures", format: "text" },
        { name: "top-1", format: "percent" },
        { name: "top-5", format: "percent" },
        { name: "loss", format: "number" },
        { name: "weights", format: "text" },
      ],
      rows,
    },
  ];
}

/** A figure of the steps as a line with a band around it. */
function ofSteps({ steps }: Told, figure: string, name: string): Series & { x: number[] } {
  const x = steps.buckets.map(({ step }) => step);
  const pick = (part: "mean" | "low" | "high"): (number | null)[] =>
    steps.buckets.map(({ figures }) => {
      const found = figures.get(figure);
      if (!found) return null;
      return part === "mean" ? found.sum / found.count : found[part];
    });
  const banded = steps.buckets.some(({ count }) => count > 1);
  return { x, name, y: pick("mean"), ...(banded ? { low: pick("low"), high: pick("high") } : {}) };
}

/** A curve of steps, and figures of epochs among its points. */
function joined(
  curve: Series & { x: number[] },
  name: string,
  points: ReadonlyMap<number, number>,
): { x: number[]; series: Series[] } {
  const { x, series } = aligned([
    { name: curve.name, points: pairs(curve.x, curve.y) },
    { name, points, dots: true },
  ]);
  const [line, dots] = series as [Series, Series];
  if (!curve.low || !curve.high) return { x, series: points.size > 0 ? [line, dots] : [line] };
  const band = (values: readonly (number | null)[]): (number | null)[] => {
    const known = pairs(curve.x, values);
    return x.map((step) => known.get(step) ?? null);
  };
  const banded = { ...line, low: band(curve.low), high: band(curve.high) };
  return { x, series: points.size > 0 ? [banded, dots] : [banded] };
}

const pairs = (x: readonly number[], y: readonly (number | null)[]): Map<number, number> =>
  new Map(x.flatMap((step, at): [number, number][] => (y[at] === null || y[at] === undefined ? [] : [[step, y[at]]])));

function charts(told: Told): Block[] {
  if (told.steps.buckets.length === 0) return [];
  const evaluated = (figure: "loss" | "top1"): Map<number, number> =>
    new Map(
      told.epochs.flatMap(({ step, validation }): [number, number][] => {
        const value = validation?.[figure];
        return typeof value === "number" && Number.isFinite(value) ? [[step, value]] : [];
      }),
    );
  const xLabel = "step";
  const plain = (title: string, figure: string, name: string): Block => {
    const { x, ...series } = ofSteps(told, figure, name);
    return { kind: "chart", title, format: "number", xLabel, x, series: [series] };
  };
  return [
    {
      kind: "chart",
      title: "Loss",
      format: "number",
      best: "least",
      xLabel,
      ...joined(ofSteps(told, "loss", "training"), "held out", evaluated("loss")),
    },
    {
      kind: "chart",
      title: "Accuracy",
      format: "percent",
      best: "greatest",
      xLabel,
      ...joined(ofSteps(told, "top1", "training, as augmented"), "held out", evaluated("top1")),
    },
    plain("Learning rate", "learningRate", "learning rate"),
    plain("Gradient norm", "gradientNorm", "norm of all gradients"),
    plain("Throughput", "imagesPerSecond", "images per second"),
  ];
}

function epochs(all: readonly EpochRecord[]): Block[] {
  if (all.length === 0) return [];
  return [
    {
      kind: "table",
      title: "Epochs",
      first: 12,
      columns: [
        { name: "epoch", format: "integer" },
        { name: "training loss", format: "number" },
        { name: "training top-1", format: "percent" },
        { name: "held-out loss", format: "number" },
        { name: "held-out top-1", format: "percent" },
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
          learningRate,
          imagesPerSecond,
        ]),
    },
  ];
}

function classes(split: string, { classes: names, counts, worst, source }: SplitRecord, parts: RunParts): Block[] {
  const { figures, confused } = confusionFigures(counts, names);
  return [
    {
      kind: "confusion",
      title: `What was taken for what: ${split}`,
      note: `weights: ${source}`,
      classes: names,
      counts,
    },
    {
      kind: "table",
      title: `Classes: ${split}`,
      first: 12,
      columns: [
        { name: "class", format: "text" },
        { name: "accuracy", format: "percent" },
        { name: "right when said", format: "percent" },
        { name: "pictures", format: "integer" },
      ],
      rows: figures,
    },
    {
      kind: "table",
      title: `Most confused: ${split}`,
      first: 12,
      columns: [
        { name: "class", format: "text" },
        { name: "taken for", format: "text" },
        { name: "times", format: "integer" },
        { name: "of its pictures", format: "percent" },
      ],
      rows: confused,
    },
    ...pictures(`Worst pictures: ${split}, each beside its Grad-CAM`, worst, parts),
  ];
}

function pictures(title: string, records: readonly PictureRecord[], { picture }: RunParts): Block[] {
  const items = records.flatMap(({ path, caption }) => {
    const src = picture(path);
    return src === undefined ? [] : [{ src, caption }];
  });
  return items.length === 0 ? [] : [{ kind: "pictures", title, items }];
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
      title: "What each plugin cost",
      columns: [
        { name: "plugin", format: "text" },
        { name: "milliseconds a step", format: "number" },
        { name: "share of training", format: "percent" },
      ],
      rows,
    },
  ];
}

function text(title: string, content: string | undefined, open = false): Block[] {
  return content ? [{ kind: "text", title, text: content, open }] : [];
}

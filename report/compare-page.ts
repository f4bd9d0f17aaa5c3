/** Several runs on one page: figures, curves over each other, and results against hyperparameters. */
import { mean } from "../core/statistics.js";
import type { Block, Cell, Chart, Column, Page, Series } from "./blocks.js";
import { evaluated, moreNames } from "./figures.js";
import {
  type Compared,
  comparedIn,
  countOf,
  type DataSet,
  dataSetsOf,
  differences,
  figureOf,
  type Group,
  groupsOf,
  isFinished,
  leftOut,
  namesOf,
  seedsOf,
  speeds,
  stateOf,
} from "./groups.js";
import { clockOf } from "./run-history.js";
import type { RunParts } from "./run-page.js";
import { withoutHome } from "./text.js";

export function comparePage(runs: readonly RunParts[]): Page {
  const nameOf = namesOf(runs);
  const sets = dataSetsOf(runs);
  const clocks = runs.map(({ history }) => clockOf(history));
  const warning =
    sets.length > 1
      ? [
          `These runs are of ${sets.length} different data sets. Their figures cannot be compared; each data set has its own section.`,
        ]
      : [];
  return {
    title: `${runs.length} runs compared`,
    summary: [runs.map(nameOf).join(", "), ...warning].join(". "),
    clocks,
    blocks: sets.flatMap((set) => ofData(set, { several: sets.length > 1, nameOf, clock: (run) => runs.indexOf(run) })),
  };
}

interface Naming {
  /** Whether there are other data sets on the page. */
  readonly several: boolean;
  nameOf(run: RunParts): string;
  /** Place in the page's clocks. */
  clock(run: RunParts): number;
}

function ofData({ name, runs }: DataSet, naming: Naming): Block[] {
  const suffix = naming.several ? `: ${name}` : "";
  const groups = groupsOf(runs, naming.nameOf);
  const differing = differences(runs);
  const figures = comparedIn(runs);
  return [
    { kind: "heading", title: `Results${suffix}` },
    ...headline(groups, figures, suffix),
    groupTable(groups, figures, suffix),
    { kind: "heading", title: `Curves${suffix}` },
    ...curveBlocks(groups, naming, suffix),
    ...scatterBlocks(runs, groups, differing, figures, naming, suffix),
    { kind: "heading", title: `Runs${suffix}` },
    ...(differing.length > 0
      ? [
          {
            kind: "table" as const,
            title: `Differences between the configs${suffix}`,
            first: 40,
            columns: ["field", ...runs.map(naming.nameOf)].map((each) => ({ name: each, format: "text" as const })),
            rows: differing.map((row) => row.map((value) => value && withoutHome(value))),
          },
        ]
      : []),
    {
      kind: "table",
      title: `Single runs${suffix}`,
      columns: [
        { name: "run", format: "text" },
        { name: "seed", format: "integer" },
        ...figures.map(columnOf),
        { name: "state", format: "text" },
      ],
      rows: runs.map((run) => [
        naming.nameOf(run),
        run.record?.seed ?? null,
        ...figures.map(({ of }) => of(run) ?? null),
        stateOf(run) === "epochs" ? "finished" : stateOf(run),
      ]),
    },
  ];
}

/** Of each accuracy and loss the best group; none where there is but one to choose from. */
function headline(groups: readonly Group[], figures: readonly Compared[], suffix: string): Block[] {
  const items = figures.flatMap((figure) => {
    const { name, format, better } = figure;
    if (better === undefined || speeds.includes(figure)) return [];
    const known = groups.flatMap((group) => {
      const { mean: value, deviation, count } = figureOf(group, figure);
      return value === undefined ? [] : [{ group, value, count, ...(deviation === undefined ? {} : { deviation }) }];
    });
    const [best] = known.sort((a, b) => (better === "higher" ? b.value - a.value : a.value - b.value));
    if (!best || known.length < 2) return [];
    const { group, ...value } = best;
    return [{ label: `Best ${name}`, format, value, note: group.name }];
  });
  return items.length > 0 ? [{ kind: "tiles", title: `Best groups${suffix}`, items }] : [];
}

const columnOf = ({ name, format, better }: Compared): Column => ({ name, format, ...(better ? { better } : {}) });

function groupTable(groups: readonly Group[], figures: readonly Compared[], suffix: string): Block {
  return {
    kind: "table",
    title: `Groups of seeds${suffix}`,
    note: [
      "Runs that differ in the seed alone are one group: mean ± deviation over its seeds.",
      ...leftOut(groups),
    ].join(" "),
    compare: true,
    columns: [
      { name: "runs", format: "text" },
      { name: "seeds", format: "integer" },
      { name: "finished", format: "integer" },
      ...figures.map(columnOf),
    ],
    rows: groups.map((group): Cell[] => {
      const found = figures.map((figure) => figureOf(group, figure));
      return [
        group.name,
        seedsOf(group).length,
        countOf(group, figures),
        ...found.map(({ mean: value, deviation }) =>
          value === undefined ? null : { value, ...(deviation === undefined ? {} : { deviation }) },
        ),
      ];
    }),
  };
}

type Points = Pick<Series, "x" | "y">;

/** Means of training steps, as the run's history holds them. */
function ofSteps({ history }: RunParts, figure: string): Points {
  const points = history.steps.buckets.flatMap(({ step, figures: found }): [number, number][] => {
    const value = found.get(figure);
    return value ? [[step, value.sum / value.count]] : [];
  });
  return { x: points.map(([step]) => step), y: points.map(([, value]) => value) };
}

/**
 * The mean of several curves, and a band from the least to the greatest, at the steps that all of them have.
 *
 * @param curves of one seed each; not empty
 */
export function meanOf(curves: readonly Points[]): Required<Pick<Series, "x" | "y" | "low" | "high">> {
  const maps = curves.map(({ x, y }) => new Map(x.map((step, at) => [step, y[at]!])));
  const x = curves[0]!.x.filter((step) => maps.every((map) => map.has(step)));
  const columns = x.map((step) => maps.map((map) => map.get(step)!));
  return {
    x,
    y: columns.map(mean),
    low: columns.map((values) => Math.min(...values)),
    high: columns.map((values) => Math.max(...values)),
  };
}

const [ofGroups, ofRuns] = ["mean of each group", "single runs"];

/** A group's mean where it has finished seeds to average; its other runs are lines of their own. */
function groupSeries(
  { name, runs }: Group,
  points: (run: RunParts) => Points,
  { nameOf, clock }: Naming,
): (Series & { of: RunParts })[] {
  const seeds = seedsOf({ runs: runs.filter(isFinished) }).map(([first]) => first!);
  const averaged = seeds.filter((run) => points(run).x.length > 0);
  const mean =
    averaged.length > 1
      ? [{ name, ...meanOf(averaged.map(points)), clock: clock(averaged[0]!), of: averaged[0]! }]
      : averaged.map((run) => ({ name: nameOf(run), ...points(run), clock: clock(run), of: run }));
  const others = runs.filter((run) => !isFinished(run) && points(run).x.length > 0);
  return [...mean, ...others.map((run) => ({ name: nameOf(run), ...points(run), clock: clock(run), of: run }))];
}

function curveBlocks(groups: readonly Group[], naming: Naming, suffix: string): Block[] {
  const runs = groups.flatMap((group) => group.runs);
  const chart = (
    title: string,
    { format, best, yLabel }: Pick<Chart, "format" | "best" | "yLabel">,
    points: (run: RunParts) => Points,
    look?: "noisy",
  ): Block[] => {
    const drawn = look ? { look } : {};
    const means = groups.flatMap((group) => groupSeries(group, points, naming)).map(({ of: _, ...each }) => each);
    const single = runs
      .filter((run) => points(run).x.length > 0)
      .map((run): Series => ({ name: naming.nameOf(run), ...points(run), clock: naming.clock(run), ...drawn }));
    if (single.length === 0) return [];
    const averages = means.some(({ low }) => low !== undefined);
    return [
      {
        kind: "chart",
        title: `${title}${suffix}`,
        ...(averages ? { note: "Line: mean over seeds. Band: lowest to highest seed." } : {}),
        format,
        ...(best ? { best } : {}),
        xLabel: "step",
        yLabel,
        series: averages
          ? [
              ...means.map((each) => ({ ...each, ...drawn, view: ofGroups })),
              ...single.map((each) => ({ ...each, view: ofRuns })),
            ]
          : single,
      },
    ];
  };
  const accuracy = { format: "percent", best: "greatest", yLabel: "top-1 accuracy" } as const;
  const loss = { format: "number", best: "least", yLabel: "loss" } as const;
  const metrics = moreNames(runs.flatMap(({ history }) => history.epochs.map(({ validation }) => validation)));
  return [
    ...chart("Validation accuracy", accuracy, ({ history }) => evaluated(history, "top1")),
    ...chart("Training accuracy", accuracy, (run) => ofSteps(run, "top1"), "noisy"),
    ...chart("Validation loss", loss, ({ history }) => evaluated(history, "loss")),
    ...chart("Training loss", loss, (run) => ofSteps(run, "loss"), "noisy"),
    ...metrics.flatMap((name) =>
      chart(`Validation ${name}`, { format: "number", yLabel: name }, ({ history }) => evaluated(history, name)),
    ),
  ];
}

/** Results of finished runs over each field in which their configs differ, the seed apart. */
function scatterBlocks(
  runs: readonly RunParts[],
  groups: readonly Group[],
  differing: ReturnType<typeof differences>,
  figures: readonly Compared[],
  { nameOf }: Naming,
  suffix: string,
): Block[] {
  const finished = runs.filter(isFinished);
  const fields = differing
    .filter(([path]) => path !== "seed" && path !== "name")
    .map(([path, ...values]) => ({
      name: path,
      values: fieldValues(values).filter((_, at) => finished.includes(runs[at]!)),
    }))
    .filter(({ values }) => new Set(values).size > 1);
  const results = figures
    .map(({ name, format, better, of }) => ({
      name,
      format,
      ...(better ? { better } : {}),
      values: finished.map((run) => {
        const value = of(run);
        return typeof value === "number" && Number.isFinite(value) ? value : null;
      }),
    }))
    .filter(({ values }) => values.some((value) => value !== null));
  if (fields.length === 0 || results.length === 0) return [];
  const values = {
    runs: finished.map((run) => ({
      name: nameOf(run),
      group: groups.find((group) => group.runs.includes(run))!.name,
    })),
    x: fields,
    y: results,
  };
  return [
    {
      kind: "scatter",
      title: `Result against hyperparameter${suffix}`,
      note: "A point for each finished run; a colour for each group of seeds.",
      ...values,
    },
    // Of one field the points say it all.
    ...(fields.length > 1
      ? [
          {
            kind: "parallel" as const,
            title: `All hyperparameters${suffix}`,
            note: "A line for each finished run, from its hyperparameters to its result. The better the result, the stronger the line.",
            ...values,
          },
        ]
      : []),
  ];
}

/** Numbers where all values that are there are numbers; what is not there has a name among other names. */
function fieldValues(values: readonly (string | null)[]): (string | number | null)[] {
  const known = values.filter((value) => value !== null);
  if (known.every((value) => value.trim() !== "" && Number.isFinite(Number(value))))
    return values.map((value) => (value === null ? null : Number(value)));
  const absent = known.includes("used") ? "not used" : "none";
  return values.map((value) => (value === null ? absent : withoutHome(value)));
}

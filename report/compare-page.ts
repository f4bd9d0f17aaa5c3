/** Several runs beside each other: curves over each other, what their configs differ in, means over seeds. */
import { sep } from "node:path";
import { deviation, mean } from "../core/statistics.js";
import { toJson } from "../run/json.js";
import { configIn, type RunConfigRecord } from "../run/record.js";
import { aligned, type Block, type Format, type Page } from "./blocks.js";
import type { RunParts } from "./run-page.js";

/** Runs whose configs differ in the seed alone. */
export interface Group {
  readonly name: string;
  readonly runs: readonly RunParts[];
}

/** A figure of a group; the deviation is of a sample, and only where there are two. */
export interface GroupFigure {
  /** Runs that it is of: finished ones, one a seed. */
  readonly count: number;
  readonly mean?: number;
  readonly deviation?: number;
}

interface Compared {
  readonly format: Format;
  of(run: RunParts): number | undefined;
}

/** Figures that runs are compared by. */
export const compared = {
  "test top-1": { format: "percent", of: ({ summary }) => summary?.test?.top1 },
  "held-out top-1": { format: "percent", of: ({ summary }) => summary?.validation?.top1 },
  "held-out loss": { format: "number", of: ({ summary }) => summary?.validation?.loss },
  "images/s": { format: "number", of: ({ summary }) => summary?.imagesPerSecond },
  "training, s": { format: "number", of: ({ summary }) => summary?.seconds },
} as const satisfies Record<string, Compared>;
export type ComparedFigure = keyof typeof compared;

/** Of each run the shortest end of its folder's path that no other has. */
export function namesOf(runs: readonly RunParts[]): (run: RunParts) => string {
  const folders = [...new Set(runs.map(({ folder }) => folder))];
  const end = (folder: string, parts: number): string => folder.split(sep).slice(-parts).join(sep);
  const names = new Map(
    folders.map((folder) => {
      let parts = 1;
      while (folders.some((other) => other !== folder && end(other, parts) === end(folder, parts))) parts++;
      return [folder, end(folder, parts)];
    }),
  );
  return ({ folder }) => names.get(folder)!;
}

/** Whether a run came to the end that its config gave it: one cut short has figures too, but of less training. */
const isFinished = ({ summary }: RunParts): boolean =>
  summary !== undefined && !/^(interrupted \(|failed: )/.test(summary.stopReason);

const stateOf = ({ summary, status }: RunParts): string => summary?.stopReason ?? status;

/** A config as dotted paths: what two of them differ in can be listed. Plugins count by name. */
export function flattened(record: RunConfigRecord | undefined): Map<string, string> {
  const flat = new Map<string, string>();
  const visit = (value: unknown, path: string): void => {
    if (Array.isArray(value) && value.every((each) => typeof each?.name === "string")) {
      for (const { name, options } of value as { name: string; options: unknown }[]) {
        flat.set(`${path}.${name}`, "used");
        visit(options, `${path}.${name}`);
      }
    } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, path === "" ? key : `${path}.${key}`);
    } else if (value !== undefined) flat.set(path, typeof value === "string" ? value : toJson(value));
  };
  visit(configIn(record ?? ({} as RunConfigRecord)), "");
  return flat;
}

/** All that makes a run but its seed, the order of its plugins and its backend among it. */
function withoutSeed(record: RunConfigRecord): string {
  return toJson({ ...configIn(record), seed: undefined, backend: record.environment?.backend });
}

export function groupsOf(runs: readonly RunParts[]): Group[] {
  const nameOf = namesOf(runs);
  const groups = new Map<string, RunParts[]>();
  for (const run of runs) {
    const key = run.record ? withoutSeed(run.record) : run.folder; // of one without a config nobody knows
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map((runs) => ({ name: groupName(runs, nameOf(runs[0]!)), runs }));
}

function groupName(runs: readonly RunParts[], first: string): string {
  const seeds = seedsOf({ runs }).length;
  const repeats = runs.length - seeds;
  return (
    first + (seeds > 1 ? ` and ${seeds - 1} more of its seeds` : "") + (repeats > 0 ? `, ${repeats} repeated` : "")
  );
}

/** A group's runs by seed. Two of one seed are one run made twice: what they agree in says nothing about chance. */
function seedsOf({ runs }: Pick<Group, "runs">): RunParts[][] {
  const seeds = new Map<number | undefined, RunParts[]>();
  for (const run of runs) seeds.set(run.record?.seed, [...(seeds.get(run.record?.seed) ?? []), run]);
  return [...seeds.values()];
}

/** What is to be said of runs that means and deviations are not of; nothing where they are of all. */
export function leftOut(groups: readonly Group[]): string[] {
  const runs = groups.flatMap((group) => group.runs);
  const nameOf = namesOf(runs);
  const unfinished = unfinishedIn({ runs }).map((run) => `${nameOf(run)} (${stateOf(run)})`);
  const repeats = groups
    .flatMap((group) => seedsOf({ runs: group.runs.filter(isFinished) }))
    .flatMap(([first, ...others]) => others.map((other) => `${nameOf(other)} (that of ${nameOf(first!)})`));
  return [
    ...(unfinished.length > 0
      ? [`Runs that did not finish are left out of means and deviations: ${unfinished.join(", ")}.`]
      : []),
    ...(repeats.length > 0
      ? [
          `Runs that repeat a seed are not independent, and each seed counts once in means and deviations: ${repeats.join(", ")}.`,
        ]
      : []),
  ];
}

export const unfinishedIn = ({ runs }: Pick<Group, "runs">): RunParts[] => runs.filter((run) => !isFinished(run));

/** Each seed counts once, with the first of its finished runs that has the figure. */
export function figureOf(group: Pick<Group, "runs">, figure: ComparedFigure): GroupFigure {
  const isFigure = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
  const values = seedsOf(group)
    .map((runs) => runs.filter(isFinished).map(compared[figure].of).find(isFigure))
    .filter(isFigure);
  return {
    count: values.length,
    ...(values.length > 0 ? { mean: mean(values) } : {}),
    ...(values.length > 1 ? { deviation: deviation(values) } : {}),
  };
}

/** Of how many runs a group's means are; a figure that only some of them have is named. */
function countOf({ runs }: Group, found: readonly GroupFigure[]): number | string {
  const finished = seedsOf({ runs: runs.filter(isFinished) }).length;
  const names = Object.keys(compared);
  const fewer = found.flatMap(({ count }, at) => (count > 0 && count < finished ? [`${names[at]} of ${count}`] : []));
  return fewer.length === 0 ? finished : [finished, ...fewer].join("; ");
}

/** Fields whose values are not the same in all runs: path, then a value for each run. */
export function differences(runs: readonly RunParts[]): [path: string, ...values: (string | null)[]][] {
  const flats = runs.map(({ record }) => flattened(record));
  const paths = [...new Set(flats.flatMap((flat) => [...flat.keys()]))];
  return paths
    .map((path): [string, ...(string | null)[]] => [path, ...flats.map((flat) => flat.get(path) ?? null)])
    .filter(([, ...values]) => new Set(values).size > 1);
}

export function comparePage(runs: readonly RunParts[]): Page {
  const groups = groupsOf(runs);
  const figures = Object.keys(compared) as ComparedFigure[];
  const nameOf = namesOf(runs);
  const differing = differences(runs);
  const blocks: Block[] = [
    {
      kind: "table",
      title: "Groups of seeds",
      note: [
        "Runs that differ in the seed alone are one group: mean and deviation over them.",
        ...leftOut(groups),
      ].join(" "),
      columns: [
        { name: "runs", format: "text" },
        { name: "seeds", format: "integer" },
        { name: "finished, of which the means are", format: "integer" },
        ...figures.flatMap((name): { name: string; format: Format }[] => [
          { name, format: compared[name].format },
          { name: `± ${name}`, format: compared[name].format },
        ]),
      ],
      rows: groups.map((group) => {
        const found = figures.map((figure) => figureOf(group, figure));
        return [
          group.name,
          seedsOf(group).length,
          countOf(group, found),
          ...found.flatMap((each) => [each.mean ?? null, each.deviation ?? null]),
        ];
      }),
    },
    ...(["loss", "top1"] as const).flatMap((figure): Block[] => {
      const ofEpochs = aligned(
        runs.map((run) => ({
          name: nameOf(run),
          points: new Map(
            run.told.epochs.flatMap(({ step, validation }): [number, number][] => {
              const value = validation?.[figure];
              return typeof value === "number" && Number.isFinite(value) ? [[step, value]] : [];
            }),
          ),
        })),
      );
      const ofSteps = aligned(
        runs.map((run) => ({
          name: nameOf(run),
          points: new Map(
            run.told.steps.buckets.flatMap(({ step, figures: found }): [number, number][] => {
              const value = found.get(figure);
              return value ? [[step, value.sum / value.count]] : [];
            }),
          ),
        })),
      );
      const word = figure === "loss" ? "loss" : "accuracy";
      const format = figure === "loss" ? "number" : "percent";
      const best = figure === "loss" ? "least" : "greatest";
      const chart = (title: string, curves: ReturnType<typeof aligned>): Block[] =>
        curves.x.length > 0 ? [{ kind: "chart", title, format, best, xLabel: "step", ...curves }] : [];
      return [...chart(`Held-out ${word}`, ofEpochs), ...chart(`Training ${word}`, ofSteps)];
    }),
    ...(differing.length > 0
      ? [
          {
            kind: "table" as const,
            title: "What the configs differ in",
            first: 40,
            columns: [
              { name: "field", format: "text" as const },
              ...runs.map((run) => ({ name: nameOf(run), format: "text" as const })),
            ],
            rows: differing,
          },
        ]
      : []),
    {
      kind: "table",
      title: "Runs",
      columns: [
        { name: "run", format: "text" },
        { name: "seed", format: "integer" },
        ...figures.map((name) => ({ name, format: compared[name].format })),
        { name: "state", format: "text" },
      ],
      rows: runs.map((run) => [
        nameOf(run),
        run.record?.seed ?? null,
        ...figures.map((figure) => compared[figure].of(run) ?? null),
        stateOf(run),
      ]),
    },
  ];
  return { title: `${runs.length} runs compared`, summary: runs.map(nameOf).join(", "), blocks };
}

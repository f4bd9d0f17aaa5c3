/** Runs in groups: which belong together, what they come to, and what their configs differ in. */
import { sep } from "node:path";
import { metricsByName } from "../core/metrics.js";
import { makePart } from "../core/parts.js";
import { deviation, mean } from "../core/statistics.js";
import { configIn, type RunConfigRecord } from "../run/files.js";
import { toJson } from "../run/json.js";
import { isCutShort } from "../run/record-files.js";
import type { Column, Format } from "./blocks.js";
import { figuresIn, moreNames } from "./figures.js";
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

/** A figure that runs are compared by. */
export interface Compared {
  readonly name: string;
  readonly format: Format;
  readonly better?: Column["better"];
  of(run: RunParts): number | undefined;
}

const accuracies: readonly Compared[] = [
  { name: "test top-1", format: "percent", better: "higher", of: ({ summary }) => summary?.test?.top1 },
  { name: "validation top-1", format: "percent", better: "higher", of: ({ summary }) => summary?.validation?.top1 },
  { name: "validation loss", format: "number", better: "lower", of: ({ summary }) => summary?.validation?.loss },
];
export const speeds: readonly Compared[] = [
  { name: "images/s", format: "number", better: "higher", of: ({ summary }) => summary?.imagesPerSecond },
  { name: "training, s", format: "number", better: "lower", of: ({ summary }) => summary?.seconds },
];

/** What these runs can be compared by: what every run has, and what the metrics of their configs came to. */
export function comparedIn(runs: readonly RunParts[]): readonly Compared[] {
  const own = (["test", "validation"] as const).flatMap((split) =>
    moreNames(runs.map(({ summary }) => summary?.[split])).map((metric): Compared => {
      const better = betterOf(metric, runs);
      return {
        name: `${split} ${metric}`,
        format: "number",
        ...(better ? { better } : {}),
        of: ({ summary }) => {
          const value = figuresIn(summary?.[split])[metric];
          return typeof value === "number" ? value : undefined; // "NaN" is text
        },
      };
    }),
  );
  const taken = new Set([...accuracies, ...speeds].map(({ name }) => name));
  return [...accuracies, ...own.filter(({ name }) => !taken.has(name)), ...speeds];
}

/** The better direction of a metric: from the built-in metric, or from a run whose `monitor` names it; else undefined. */
function betterOf(metric: string, runs: readonly RunParts[]): Column["better"] {
  if (Object.hasOwn(metricsByName, metric))
    return makePart(metricsByName[metric as keyof typeof metricsByName]()).better;
  return runs.map(({ record }) => record?.monitor).find((monitor) => monitor?.metric === metric)?.direction;
}

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

/** Whether a run reached the end that its config gave it: one cut short has figures too, but of less training. */
export const isFinished = ({ summary }: RunParts): boolean => summary !== undefined && !isCutShort(summary.stopReason);

export const stateOf = ({ summary, status }: RunParts): string => summary?.stopReason ?? status;

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
  const changes = record?.extended?.map(
    ({ atStep, field, from, to }) => `${field} ${from} -> ${to} after step ${atStep}`,
  );
  if (changes) flat.set("extended", changes.join(", "));
  return flat;
}

/** All that makes a run but its seed: the order of its plugins, its backend, and a change of its length among it. */
function withoutSeed(record: RunConfigRecord): string {
  return toJson({
    ...configIn(record),
    seed: undefined,
    backend: record.environment?.backend,
    extended: record.extended,
  });
}

/** @param nameOf names of runs that tell them apart on their page; by default among these runs */
export function groupsOf(runs: readonly RunParts[], nameOf = namesOf(runs)): Group[] {
  const groups = new Map<string, RunParts[]>();
  for (const run of runs) {
    const key = run.record ? withoutSeed(run.record) : run.folder; // without a config nothing is known to be equal
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map((runs) => ({ name: groupName(runs, nameOf(runs[0]!)), runs }));
}

function groupName(runs: readonly RunParts[], first: string): string {
  const seeds = seedsOf({ runs }).length;
  const repeats = runs.length - seeds;
  return (
    first +
    (seeds > 1 ? ` and ${seeds - 1} more ${seeds === 2 ? "seed" : "seeds"}` : "") +
    (repeats > 0 ? `, ${repeats} repeated` : "")
  );
}

/** A group's runs by seed. Two runs of one seed are a repetition and no second sample. */
export function seedsOf({ runs }: Pick<Group, "runs">): RunParts[][] {
  const seeds = new Map<number | undefined, RunParts[]>();
  for (const run of runs) seeds.set(run.record?.seed, [...(seeds.get(run.record?.seed) ?? []), run]);
  return [...seeds.values()];
}

/** Sentences about runs that means and deviations leave out; none where they are of all. */
export function leftOut(groups: readonly Group[]): string[] {
  const runs = groups.flatMap((group) => group.runs);
  const nameOf = namesOf(runs);
  const unfinished = unfinishedIn({ runs }).map((run) => `${nameOf(run)} (${stateOf(run)})`);
  const repeats = groups
    .flatMap((group) => seedsOf({ runs: group.runs.filter(isFinished) }))
    .flatMap(([first, ...others]) => others.map((other) => `${nameOf(other)} (seed of ${nameOf(first!)})`));
  return [
    ...(unfinished.length > 0
      ? [`Means and deviations leave out runs that did not finish: ${unfinished.join(", ")}.`]
      : []),
    ...(repeats.length > 0
      ? [
          `Runs that repeat a seed are not independent. Each seed counts once in means and deviations: ${repeats.join(", ")}.`,
        ]
      : []),
  ];
}

export const unfinishedIn = ({ runs }: Pick<Group, "runs">): RunParts[] => runs.filter((run) => !isFinished(run));

/** Each seed counts once, with the first of its finished runs that has the figure. */
export function figureOf(group: Pick<Group, "runs">, figure: Compared): GroupFigure {
  const isFigure = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
  const values = seedsOf(group)
    .map((runs) => runs.filter(isFinished).map(figure.of).find(isFigure))
    .filter(isFigure);
  return {
    count: values.length,
    ...(values.length > 0 ? { mean: mean(values) } : {}),
    ...(values.length > 1 ? { deviation: deviation(values) } : {}),
  };
}

/** How many runs a group's means are of; a figure that only some of them have is named. */
export function countOf(group: Group, figures: readonly Compared[]): number | string {
  const finished = seedsOf({ runs: group.runs.filter(isFinished) }).length;
  const fewer = figures.flatMap((figure) => {
    const { count } = figureOf(group, figure);
    return count > 0 && count < finished ? [`${figure.name} of ${count}`] : [];
  });
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

/** Runs of one data set, and what it is called. */
export interface DataSet {
  readonly name: string;
  readonly runs: readonly RunParts[];
}

/** Accuracies on different data cannot be compared: runs are parted by their data and its options. */
export function dataSetsOf(runs: readonly RunParts[]): DataSet[] {
  const sets = new Map<string, RunParts[]>();
  for (const run of runs) {
    const key = run.record ? toJson(run.record.data) : run.folder;
    sets.set(key, [...(sets.get(key) ?? []), run]);
  }
  const names = [...sets.values()].map(([first]) => first!.record?.data.name ?? "unknown data");
  return [...sets.values()].map((members, at) => {
    const same = names.flatMap((name, other) => (name === names[at] ? [other] : []));
    return { name: same.length > 1 ? `${names[at]} ${same.indexOf(at) + 1}` : names[at]!, runs: members };
  });
}

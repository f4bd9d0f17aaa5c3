/** `trainer ablate`: what each technique brings, as differences from a baseline over the same seeds. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { addPlugin, parseSetting, replacePlugin, setOption } from "../core/config/change.js";
import type { TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { makeFolders, writeFileAtomic } from "../core/files.js";
import { counted } from "../core/format.js";
import { deviation, mean } from "../core/statistics.js";
import { type ArmDifference, armDifferences } from "../core/student-t.js";
import type { Block } from "../report/blocks.js";
import { comparePage } from "../report/compare-page.js";
import { pageHtml } from "../report/html.js";
import type { RunParts } from "../report/run-page.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { listenForEnds } from "./interrupt.js";
import { addRunOptions, builtInPlugin, configFrom, type RunOptions, whole } from "./options.js";
import { print, table, tell } from "./terminal.js";
import { runTrial, type Trial, validationOf } from "./trials.js";

interface AblateOptions extends RunOptions {
  arms: string[];
  seeds: number;
  out?: string;
}

export const baseline = "baseline";

export function addAblate(program: Command): void {
  addRunOptions(program.command("ablate"))
    .summary("measure what single techniques bring")
    .description("measure what single techniques bring: a baseline and its variants, over the same seeds")
    .requiredOption("--arms <list>", "variants, separated by commas", (text: string) => text.split(",").filter(Boolean))
    .option("--seeds <n>", "runs of each variant, with seeds 1 to n", whole(2), 3)
    .option("--out <dir>", "folder of the runs; default runs/ablate-<name>")
    .addHelpText(
      "after",
      `
An arm is the name of a plugin or a setting:
  cutmix             adds the plugin, or leaves it out where the config has it
  learningRate=0.1   sets a value, as --set does
  cutmix+ema         several of them together

The figure is top-1 on validation images after the last epoch. It needs a config
with validation (or --holdout). The seed fixes first weights, order and
validation images, so differences are paired by seed. The 95 % intervals hold
for all arms at once (Bonferroni), with one deviation for all arms.

Every run has its own folder. The same command continues where it was stopped,
and writes compare.html into --out at the end.

Example:
  trainer ablate --preset quickstart --arms cutmix,label-smoothing --seeds 3`,
    )
    .action(ablate);
}

/** Arm -> its config. @throws TrainerError ERR_OPTION or ERR_UNKNOWN_NAME for an arm that is none */
export function armsOf(base: TrainerConfig, arms: readonly string[]): Map<string, TrainerConfig> {
  const has = (name: string): boolean => (base.plugins ?? []).some((plugin) => plugin.name === name);
  const change = (config: TrainerConfig, part: string): TrainerConfig => {
    if (part.includes("=")) {
      const { path, value } = parseSetting(part);
      return setOption(config, path, value);
    }
    return has(part) ? replacePlugin(config, part) : addPlugin(config, builtInPlugin(part));
  };
  const titled = (part: string): string => (part.includes("=") ? part : `${has(part) ? "without" : "with"} ${part}`);
  const made = arms.map((arm): [string, TrainerConfig] => {
    // A + within a value, as in 1e+1, joins nothing.
    const parts = arm.split(/\+(?=[a-z][\w.-]*(?:=|\+|$))/i);
    return [parts.map(titled).join(" + "), parts.reduce(change, base)];
  });
  const twice = made.find(([name], at) => made.findIndex(([other]) => other === name) !== at);
  if (twice) throw new TrainerError("ERR_OPTION", `--arms: "${twice[0]}" is there twice. Remove one of them.`);
  return new Map([[baseline, base], ...made]);
}

/** Arm -> the name of its folders, without the seed: with a hash where it would be too long, or that of another arm too. */
export function folderNames(arms: Iterable<string>): Map<string, string> {
  const plain = new Map([...arms].map((arm) => [arm, arm.replaceAll(/[^\w.=-]+/g, "-")]));
  const all = [...plain.values()];
  return new Map(
    [...plain].map(([arm, name]) => {
      const isTaken = all.indexOf(name) !== all.lastIndexOf(name);
      if (name.length <= longestName && !isTaken) return [arm, name];
      const hash = createHash("sha256").update(arm).digest("hex").slice(0, 8);
      return [arm, `${name.slice(0, longestName - 9)}-${hash}`];
    }),
  );
}

/** File systems take 255 characters, and the seed follows. */
const longestName = 160;

/** The runs of an ablation, seed by seed: stopped early, all arms have as many runs, give or take one. */
export function trialsOf(arms: ReadonlyMap<string, TrainerConfig>, seeds: number): (Trial & { arm: string })[] {
  const names = folderNames(arms.keys());
  return Array.from({ length: seeds }, (_, at) => at + 1).flatMap((seed) =>
    [...arms].map(([arm, config]) => ({
      arm,
      name: `${names.get(arm)}-${seed}`,
      config: { ...config, seed },
    })),
  );
}

export interface MeasuredArm {
  readonly arm: string;
  /** Top-1 on validation, seed by seed. */
  readonly top1: readonly number[];
  /** Of training, the mean over seeds. */
  readonly seconds: number;
}

export interface ArmFigures extends MeasuredArm, Partial<ArmDifference> {
  readonly verdict: string;
}

/** Arms with their differences from the first one, the baseline. */
export function comparedArms<A extends MeasuredArm>(arms: readonly A[]): (A & ArmFigures)[] {
  const [base, ...others] = arms;
  const differences = armDifferences(base!.top1, new Map(others.map(({ arm, top1 }) => [arm, top1])));
  return arms.map((each) => {
    const found = differences.get(each.arm);
    return { ...each, ...found, verdict: found ? verdictOf(found) : "" };
  });
}

/** What runs come to, arm by arm, the baseline first. */
const figuresOf = (arms: ReadonlyMap<string, readonly RunParts[]>): ArmFigures[] =>
  comparedArms(
    [...arms].map(([arm, runs]) => ({
      arm,
      top1: runs.map(validationOf),
      seconds: mean(runs.map(({ summary }) => summary?.seconds ?? Number.NaN)),
    })),
  );

/** Empty where one seed leaves the interval open. */
export function verdictOf({ difference, margin }: ArmDifference): string {
  if (Number.isNaN(margin)) return "";
  return Math.abs(difference) > margin ? (difference > 0 ? "better" : "worse") : "no difference shown";
}

async function ablate({ arms: names, seeds, out, ...options }: AblateOptions): Promise<void> {
  const { config: base, source } = await configFrom(options);
  const arms = armsOf(base, names);
  const folder = out ?? join("runs", `ablate-${base.name ?? "run"}`);
  const ends = listenForEnds();
  const found = new Map<string, RunParts[]>([...arms.keys()].map((arm) => [arm, []]));
  try {
    const trials = trialsOf(arms, seeds);
    for (const [at, { arm, ...trial }] of trials.entries()) {
      const place = `${at + 1} of ${trials.length}`;
      const parts = await runTrial(trial, { out: folder, quiet: options.quiet, ends, source, place });
      if (parts === undefined) {
        process.exitCode = ends.exitCode;
        tell("Stopped. The same command continues.");
        return;
      }
      validationOf(parts); // at the first run, not at the last
      found.get(arm)!.push(parts);
    }
  } finally {
    ends.stop();
  }
  const figures = figuresOf(found);
  if (options.json) return print(toJson(figures));
  const page = resolve(folder, "compare.html");
  writing(`The folder ${folder}`, () => makeFolders(folder));
  writeFileAtomic(page, pageHtml(ablationPage(figures, [...found.values()].flat())));
  print(`${table(rowsOf(figures))}\n\n${noteOf(figures)}\n${page}`);
}

export const points = (share: number): string => (100 * share).toFixed(1);
const signed = (share: number): string => `${share < 0 ? "-" : "+"}${points(Math.abs(share))}`;

function rowsOf(figures: readonly ArmFigures[]): string[][] {
  return [
    ["arm", "validation top-1, %", "difference, points", "", "seconds"],
    ...figures.map(({ arm, top1, difference, margin, verdict, seconds }) => [
      arm,
      `${points(mean(top1))} ± ${points(deviation(top1))}`,
      difference === undefined ? "" : `${signed(difference)} ± ${points(margin!)}`,
      verdict,
      seconds.toFixed(1),
    ]),
  ];
}

function noteOf(figures: readonly ArmFigures[]): string {
  const [{ top1 }] = figures as [ArmFigures];
  const arms = figures.length - 1;
  return (
    `Mean ± deviation over ${counted(top1.length, "seed")}; differences from the baseline with intervals that hold at 95 % for ` +
    `${arms === 1 ? "the arm" : `all ${arms} arms at once (Bonferroni)`}.`
  );
}

function ablationPage(figures: readonly ArmFigures[], runs: readonly RunParts[]): ReturnType<typeof comparePage> {
  const page = comparePage(runs);
  const block: Block = {
    kind: "table",
    title: "Differences from the baseline",
    note: noteOf(figures),
    columns: [
      { name: "arm", format: "text" },
      { name: "validation top-1", format: "percent", better: "higher" },
      { name: "difference", format: "percent" },
      { name: "interval", format: "text" },
      { name: "result", format: "text" },
      { name: "training, s", format: "number", better: "lower" },
    ],
    rows: figures.map(({ arm, top1, difference, margin, verdict, seconds }) => [
      arm,
      { value: mean(top1), deviation: deviation(top1) },
      difference ?? null,
      difference === undefined ? "" : `${signed(difference - margin!)} to ${signed(difference + margin!)} points`,
      verdict,
      seconds,
    ]),
  };
  return { ...page, title: "Ablation", blocks: [block, ...page.blocks] };
}

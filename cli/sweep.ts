/** `trainer sweep`: searches settings at random, and spends epochs on the better ones (successive halving). */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { parseSetting, setOption } from "../core/config/change.js";
import type { TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { makeFolders, writeFileAtomic } from "../core/files.js";
import { percent, short } from "../core/format.js";
import { stream } from "../core/rng.js";
import { comparePage } from "../report/compare-page.js";
import { pageHtml } from "../report/html.js";
import type { RunParts } from "../report/run-page.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { listenForEnds } from "./interrupt.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { print, table, tell } from "./terminal.js";
import { runTrial, type Trial, validationAt } from "./trials.js";

interface SweepOptions extends RunOptions {
  trials: number;
  halving?: number;
  searchSeed: number;
  out?: string;
}

export function addSweep(program: Command): void {
  addRunOptions(program.command("sweep"))
    .summary("search for good settings")
    .description("search for good settings: random values of those that --set gives a range")
    .option("--trials <n>", "how many random settings", whole(2), 8)
    .option("--halving <factor>", "train in rounds, and keep one in so many after each", whole(2))
    .option("--search-seed <n>", "seed of the random settings", whole(0), 1)
    .option("--out <dir>", "folder of the runs; default runs/sweep-<name>")
    .addHelpText(
      "after",
      `
A range in --set is one of
  log(a,b)       from a to b, evenly over orders of magnitude
  uniform(a,b)   from a to b, evenly
  choice(a,b,c)  one of these values
Any other --set holds for all trials.

The best trial has the highest top-1 on validation images; it needs a config
with validation (or --holdout). With --halving 3 all trials train for a few
epochs, the better third goes on to three times as many, and so on. A trial is
paused and resumed: its schedule is that of the whole run. Trials share a seed.

The same command continues where it was stopped, and writes compare.html into
--out at the end. A trial that diverges counts as the worst.

Example:
  trainer sweep --preset quickstart --trials 9 --halving 3 \\
    --set "learningRate=log(0.005,0.5)"`,
    )
    .action(sweep);
}

/** A setting's range: where a share from 0 to 1 lies in it. */
export interface Range {
  readonly key: string;
  at(share: number): string;
}

/** The range of a setting; undefined where its value is a plain one. @throws TrainerError ERR_OPTION for a range that is none */
export function rangeOf(text: string): Range | undefined {
  const [, key, kind, inside] = /^([^=]+)=(log|uniform|choice)\((.*)\)$/s.exec(text) ?? [];
  if (key === undefined || inside === undefined) return undefined;
  const items = inside.split(",").map((item) => item.trim());
  if (kind === "choice")
    return { key, at: (share) => items[Math.min(items.length - 1, Math.floor(share * items.length))]! };
  const [low, high] = items.map(Number) as [number, number];
  const least = kind === "log" ? 0 : Number.NEGATIVE_INFINITY;
  if (items.length !== 2 || !(low > least && low < high && Number.isFinite(low) && Number.isFinite(high))) {
    const wanted = kind === "log" ? "0 < a < b" : "a < b";
    throw new TrainerError("ERR_OPTION", `--set ${text}: expected ${kind}(a,b) with ${wanted}, got (${inside}).`);
  }
  const value = (share: number): number => (kind === "log" ? low * (high / low) ** share : low + (high - low) * share);
  return { key, at: (share) => short(value(share), 4) };
}

export interface SweepTrial extends Trial {
  /** `key=value`, as `--set` takes them. */
  readonly settings: readonly string[];
}

/** Random settings; a trial's are a function of the seed, its number and each key. */
export function sweepTrials(base: TrainerConfig, ranges: readonly Range[], count: number, seed: number): SweepTrial[] {
  return Array.from({ length: count }, (_, trial) => {
    const settings = ranges.map(({ key, at }) => `${key}=${at(stream(seed, `sweep/${key}`, trial).uniform())}`);
    const config = settings.reduce((made, setting) => {
      const { path, value } = parseSetting(setting);
      return setOption(made, path, value);
    }, base);
    return { name: `trial-${String(trial + 1).padStart(String(count).length, "0")}`, config, settings };
  });
}

/** Epochs at the end of each round, and how many trials are in it: the last round is the whole run. */
export function roundsOf(trials: number, epochs: number, factor?: number): { epochs: number; trials: number }[] {
  if (factor === undefined) return [{ epochs, trials }];
  const sizes = [trials];
  while (sizes.at(-1)! > 1 && factor ** sizes.length <= epochs) sizes.push(Math.ceil(sizes.at(-1)! / factor));
  const last = sizes.length - 1;
  return sizes.map((size, at) => ({ epochs: Math.max(1, Math.round(epochs / factor ** (last - at))), trials: size }));
}

interface Scored {
  readonly trial: SweepTrial;
  readonly parts?: RunParts;
  readonly epochs: number;
  /** On validation; NaN where the trial diverged. */
  readonly top1: number;
}

/** The better first; diverged ones last, equal ones in their order. */
const byScore = (a: Scored, b: Scored): number =>
  (Number.isNaN(b.top1) ? -1 : 0) - (Number.isNaN(a.top1) ? -1 : 0) || b.top1 - a.top1;

async function sweep({ trials: count, halving, searchSeed, out, ...options }: SweepOptions): Promise<void> {
  const ranges = options.set.map((text) => ({ text, range: rangeOf(text) }));
  const searched = ranges.flatMap(({ range }) => range ?? []);
  if (searched.length === 0) {
    throw new TrainerError(
      "ERR_OPTION",
      'Expected a range to search, such as --set "learningRate=log(0.01,1)", got none.',
    );
  }
  const fixed = ranges.flatMap(({ text, range }) => (range ? [] : [text]));
  const { config: base, source } = await configFrom({ ...options, set: fixed });
  const evaluated = halving === undefined ? base : { ...base, evaluateEvery: 1 };
  const folder = out ?? join("runs", `sweep-${base.name ?? "run"}`);
  const { epochs = Number.POSITIVE_INFINITY } = base; // of a run that ends after a time
  if (halving !== undefined && !Number.isFinite(epochs)) {
    throw new TrainerError("ERR_OPTION", "--halving counts epochs, and --max-time has none. Remove one of them.");
  }
  const rounds = roundsOf(count, epochs, halving);
  const ends = listenForEnds();
  const results = new Map<string, Scored>();
  let left = sweepTrials(evaluated, searched, count, searchSeed);
  try {
    for (const round of rounds) {
      if (rounds.length > 1 && !options.quiet) tell(`${round.trials} trials to epoch ${round.epochs}`);
      const scored: Scored[] = [];
      for (const trial of left.slice(0, round.trials)) {
        const found = await scoredTrial(trial, {
          out: folder,
          quiet: options.quiet,
          ends,
          source,
          place: `${scored.length + 1} of ${Math.min(round.trials, left.length)}`,
          untilEpoch: round.epochs,
        });
        if (found === undefined) {
          process.exitCode = ends.exitCode;
          tell("Stopped. The same command continues.");
          return;
        }
        scored.push(found);
        results.set(trial.name, found);
      }
      left = scored.sort(byScore).map(({ trial }) => trial);
    }
  } finally {
    ends.stop();
  }
  const ranked = [...results.values()].sort((a, b) => b.epochs - a.epochs || byScore(a, b));
  report(ranked, folder, options.json);
}

type Options = Parameters<typeof runTrial>[1] & { readonly untilEpoch: number };

/** undefined where the command was interrupted. */
async function scoredTrial(trial: SweepTrial, options: Options): Promise<Scored | undefined> {
  const { untilEpoch: epochs } = options;
  try {
    const parts = await runTrial(trial, options);
    return parts && { trial, parts, epochs, top1: validationAt(parts, epochs) };
  } catch (error) {
    if (!(error instanceof TrainerError) || error.code !== "ERR_DIVERGED") throw error;
    tell(`${error.message} It counts as the worst.`);
    return { trial, epochs, top1: Number.NaN };
  }
}

function report(ranked: readonly Scored[], folder: string, json: boolean | undefined): void {
  const rows = ranked.map(({ trial: { name, settings }, parts, epochs: until, top1 }) => {
    const epochs = Number.isFinite(until) ? until : (parts?.summary?.epochs ?? 0); // of a given time
    return { name, settings, epochs, top1 };
  });
  if (json) return print(toJson(rows));
  const page = resolve(folder, "compare.html");
  writing(`The folder ${folder}`, () => makeFolders(folder));
  writeFileAtomic(page, pageHtml({ ...comparePage(ranked.flatMap(({ parts }) => parts ?? [])), title: "Sweep" }));
  const shown = rows.map(({ name, settings, epochs, top1 }) => [
    name,
    ...settings.map((setting) => setting.slice(setting.indexOf("=") + 1)),
    String(epochs),
    Number.isNaN(top1) ? "diverged" : percent(top1),
  ]);
  const keys = rows[0]!.settings.map((setting) => setting.slice(0, setting.indexOf("=")));
  const best = rows[0]!.settings.map((setting) => `--set ${setting}`).join(" ");
  print(`${table([["trial", ...keys, "epochs", "validation top-1"], ...shown])}\n\nbest: ${best}\n${page}`);
}

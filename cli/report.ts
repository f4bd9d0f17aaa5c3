/** `trainer report RUN` and `trainer compare RUN…`: pages from what runs keep of themselves. */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";
import {
  type ComparedFigure,
  compared,
  comparePage,
  figureOf,
  groupsOf,
  leftOut,
  unfinishedIn,
} from "../report/compare-page.js";
import { pageHtml } from "../report/html.js";
import { readRun, writeReport } from "../report/read.js";
import { toJson } from "../run/json.js";
import { isHeld } from "../run/lock.js";
import { writing } from "./output.js";
import { percent, print, table, tell } from "./terminal.js";

export function addReport(program: Command): void {
  program
    .command("report <run>")
    .description("write a run's report.html again, from what the run keeps")
    .addHelpText(
      "after",
      `
A run writes its report at its start, after each epoch and at its end: one file that needs nothing else. This command
is for runs that broke off, and for files of an older version.

Example:
  trainer report runs/cifar100-small-1`,
    )
    .action((run: string) => {
      const parts = readParts(run);
      print(writeReport(parts));
    });
}

export function addCompare(program: Command): void {
  program
    .command("compare <runs...>")
    .description("several runs in one page: curves, what their configs differ in, means over seeds")
    .option("--out <file>", "the page", "compare.html")
    .option("--force", "write over a file that is there")
    .option("--json", "the table as JSON, and no page")
    .addHelpText(
      "after",
      `
Runs that differ in the seed alone are one group, and its figures a mean ± the deviation over seeds. A seed that
several runs have counts once: they are one run made again, and not independent. A run that did not finish counts
for nothing there. Behind each figure stands of how many runs it is.

Example:
  trainer compare runs/cifar100-small-1 runs/cifar100-small-2 --out small.html`,
    )
    .action(compare);
}

function readParts(run: string): ReturnType<typeof readRun> {
  const folder = resolve(run);
  const parts = readRun(folder, isHeld(folder));
  if (parts.problem !== undefined) tell(`warning: ${parts.problem} What lies before is shown.`);
  return parts;
}

function compare(given: string[], { out, force, json }: { out: string; force?: boolean; json?: boolean }): void {
  const runs = [...new Set(given.map((run) => resolve(run)))];
  if (runs.length < 2)
    throw new TrainerError("ERR_OPTION", `Comparing takes two runs or more, and ${runs.join()} is one.`);
  const page = resolve(out);
  if (!json && !force && existsSync(page)) {
    throw new TrainerError(
      "ERR_OPTION",
      `${page} is there already. Name another file with --out, or write over it with --force.`,
    );
  }
  const parts = runs.map(readParts);
  const groups = groupsOf(parts);
  for (const sentence of leftOut(groups)) tell(`warning: ${sentence}`);
  const figures = Object.keys(compared) as ComparedFigure[];
  if (json) {
    const rows = groups.map((group) => ({
      runs: group.runs.map(({ folder }) => folder),
      unfinished: unfinishedIn(group).map(({ folder }) => folder),
      figures: Object.fromEntries(figures.map((figure) => [figure, figureOf(group, figure)])),
    }));
    print(toJson(rows));
    return;
  }
  const shown = (figure: ComparedFigure, value: number): string =>
    compared[figure].format === "percent" ? percent(value) : String(Number(value.toPrecision(4)));
  const rows = groups.map((group) => [
    group.name,
    ...figures.map((figure) => {
      const { count, mean, deviation } = figureOf(group, figure);
      if (mean === undefined) return "";
      return `${shown(figure, mean)}${deviation === undefined ? "" : ` ± ${shown(figure, deviation)}`} (${count})`;
    }),
  ]);
  const folder = dirname(page);
  writing(`The page's folder ${folder}`, () => {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  });
  writeFileAtomic(page, pageHtml(comparePage(parts)));
  print(`${table([["", ...figures], ...rows])}\n\n${page}`);
}

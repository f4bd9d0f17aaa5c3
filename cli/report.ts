/** `trainer report RUN` and `trainer compare RUN…`: pages made from the files of runs. */

import { accessSync, constants, existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { TrainerError } from "../core/errors.js";
import { makeFolders, writeFileAtomic } from "../core/files.js";
import { percent, short } from "../core/format.js";
import { comparePage } from "../report/compare-page.js";
import { type Compared, comparedIn, figureOf, groupsOf, leftOut, unfinishedIn } from "../report/groups.js";
import { pageHtml } from "../report/html.js";
import { readRun, writeReport } from "../report/read.js";
import { mustHoldNoLinks } from "../run/folder.js";
import { toJson } from "../run/json.js";
import { isHeld } from "../run/lock.js";
import { writing } from "../run/output.js";
import { print, table, tell } from "./terminal.js";

export function addReport(program: Command): void {
  program
    .command("report <run>")
    .summary("write a run's report.html again")
    .description("write a run's report.html again from its files")
    .addHelpText(
      "after",
      `
A run writes its report at the start, after each epoch and at the end. Use this
command for a run that was killed, or one of an older version.

Example:
  trainer report runs/cifar100-small-1`,
    )
    .action((run: string) => {
      const parts = readParts(run);
      mustHoldNoLinks(parts.folder);
      print(writeReport(parts));
    });
}

export function addCompare(program: Command): void {
  program
    .command("compare <runs...>")
    .summary("compare several runs on one page")
    .description("compare runs on one page: curves, config differences, means over seeds")
    .option("--out <file>", "page to write", "compare.html")
    .option("--force", "overwrite an existing file")
    .option("--json", "print the table as JSON and write no page")
    .addHelpText(
      "after",
      `
Runs that differ only in the seed form one group. Its figures are the mean ± the
standard deviation over seeds, with the number of seeds in parentheses. A seed
counts once, also when several runs have it: repeated runs are not independent.
Unfinished runs are not counted.

Example:
  trainer compare runs/cifar100-small-1 runs/cifar100-small-2 --out small.html`,
    )
    .action(compare);
}

function readParts(run: string): ReturnType<typeof readRun> {
  const folder = resolve(run);
  const parts = readRun(folder, isHeld(folder));
  for (const problem of parts.problems) tell(`warning: ${problem}`);
  return parts;
}

function compare(given: string[], { out, force, json }: { out: string; force?: boolean; json?: boolean }): void {
  const runs = [...new Set(given.map((run) => resolve(run)))];
  if (runs.length < 2)
    throw new TrainerError(
      "ERR_OPTION",
      `trainer compare expected two or more runs, got ${runs.join()}. Name another run.`,
    );
  const page = resolve(out);
  if (!json && !force && existsSync(page)) {
    throw new TrainerError(
      "ERR_OPTION",
      `${page} already exists. Choose another file with --out, or overwrite it with --force.`,
    );
  }
  const parts = runs.map(readParts);
  const groups = groupsOf(parts);
  for (const sentence of leftOut(groups)) tell(`warning: ${sentence}`);
  const figures = comparedIn(parts);
  if (json) {
    const rows = groups.map((group) => ({
      runs: group.runs.map(({ folder }) => folder),
      unfinished: unfinishedIn(group).map(({ folder }) => folder),
      figures: Object.fromEntries(figures.map((figure) => [figure.name, figureOf(group, figure)])),
    }));
    print(toJson(rows));
    return;
  }
  const shown = ({ format }: Compared, value: number): string =>
    format === "percent" ? percent(value) : short(value, 4);
  const rows = groups.map((group) => [
    group.name,
    ...figures.map((figure) => {
      const { count, mean, deviation } = figureOf(group, figure);
      if (mean === undefined) return "";
      return `${shown(figure, mean)}${deviation === undefined ? "" : ` ± ${shown(figure, deviation)}`} (${count})`;
    }),
  ]);
  const folder = dirname(page);
  writing(`The folder ${folder}`, () => {
    makeFolders(folder);
    accessSync(folder, constants.W_OK);
  });
  writeFileAtomic(page, pageHtml(comparePage(parts)));
  print(`${table([["", ...figures.map(({ name }) => name)], ...rows])}\n\n${page}`);
}

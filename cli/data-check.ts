/** `trainer data check FOLDER`: what may be wrong with a folder of images, as a page and as a list that `--exclude` takes. */
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { type FolderInspection, type FolderIssue, inspectFolder, issueKinds } from "../core/data/inspect.js";
import { TrainerError } from "../core/errors.js";
import { dataCheckPage } from "../report/data-page.js";
import { pageHtml } from "../report/html.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { csvLine } from "./csv.js";
import { print, table, tell, tellWarning } from "./terminal.js";

interface CheckOptions {
  page: string;
  csv: string;
  json?: boolean;
  quiet?: boolean;
}

export function addDataCheck(data: Command): void {
  data
    .command("check <folder>")
    .description("find unreadable, repeated, odd, dark, bright and blurred images in a folder")
    .option("--page <file>", "HTML page to write; it must not exist yet", "data-check.html")
    .option("--csv <file>", "list to write, for --exclude; it must not exist yet", "issues.csv")
    .option("--json", "print JSON")
    .option("--quiet", "print only warnings and the result")
    .addHelpText(
      "after",
      `
Reads every image of every split. Nothing in the folder is changed. In the list,
the column "exclude" says yes for files that cannot be read and for training
images whose bytes are there already. Edit it, then train without those files.

Examples:
  trainer data check photos
  trainer --preset transfer --data photos --exclude issues.csv`,
    )
    .action(check);
}

async function check(folder: string, options: CheckOptions): Promise<void> {
  for (const [option, file] of [
    ["--page", options.page],
    ["--csv", options.csv],
  ] as const) {
    if (existsSync(file))
      throw new TrainerError("ERR_OUTPUT", `${file} already exists. Choose another path with ${option}.`);
  }
  const log = options.quiet ? undefined : tell;
  const inspection = await inspectFolder(resolve(folder), { log, warn: tellWarning });
  const page = pageHtml(await dataCheckPage(inspection, options.csv));
  writing(options.csv, () => writeFileSync(options.csv, issuesCsv(inspection.issues), { flag: "wx" }), "--csv");
  writing(options.page, () => writeFileSync(options.page, page, { flag: "wx" }), "--page");
  if (options.json) print(toJson({ ...inspection, page: options.page, csv: options.csv }));
  else print(asText(inspection, options));
}

function asText({ images, classes, issues }: FolderInspection, { page, csv }: CheckOptions): string {
  const rows = issueKinds.map((kind) => {
    const own = issues.filter((each) => each.kind === kind);
    return [kind, String(own.length), own[0] ? `${own[0].file}: ${own[0].detail}` : ""];
  });
  const left = new Set(issues.flatMap(({ file, exclude }) => (exclude ? [file] : []))).size;
  return [
    `${images} images of ${classes.length} classes`,
    table([["issue", "images", "first"], ...rows]),
    `${left} files to leave out: --exclude ${csv}`,
    page,
  ].join("\n");
}

export function issuesCsv(issues: readonly FolderIssue[]): string {
  const rows = issues.map(({ file, split, class: name, kind, detail, exclude }) => [
    file,
    split,
    name,
    kind,
    detail,
    exclude ? "yes" : "no",
  ]);
  const head = ["file", "split", "class", "issue", "detail", "exclude"];
  return [head, ...rows].map((cells) => `${csvLine(cells)}\n`).join("");
}

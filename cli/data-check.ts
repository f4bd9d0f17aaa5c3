/** `trainer data check FOLDER`: what may be wrong with a folder of images, as a page and as a list that `--exclude` takes. */
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { loadBackend } from "../core/backend/index.js";
import { csvLine } from "../core/data/csv.js";
import { type FolderInspection, type FolderIssue, type InspectOptions, inspectFolder } from "../core/data/inspect.js";
import { TrainerError } from "../core/errors.js";
import { labelIssues } from "../core/labels/check.js";
import { openWeights } from "../core/pretrained/open.js";
import { fromScratch } from "../presets/index.js";
import { transferWeights } from "../presets/transfer.js";
import { dataCheckPage } from "../report/data-page.js";
import { pageHtml } from "../report/html.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { whole } from "./options.js";
import { haveWeights, scratchEpochs } from "./own-images.js";
import { print, table, tell, tellWarning } from "./terminal.js";

interface CheckOptions {
  page: string;
  csv: string;
  labels?: boolean;
  weights?: string;
  folds: number;
  seed: number;
  json?: boolean;
  quiet?: boolean;
}

export function addDataCheck(data: Command): void {
  data
    .command("check <folder>")
    .description("find unreadable, repeated, odd, dark and blurred images, and wrong labels")
    .option("--page <file>", "HTML page to write; it must not exist yet", "data-check.html")
    .option("--csv <file>", "list to write, for --exclude; it must not exist yet", "issues.csv")
    .option("--labels", "look for wrong labels too: minutes instead of seconds, see below")
    .option("--weights <file>", "for --labels: weights of an EfficientNet-Lite0, a file or hf:owner/name")
    .option("--folds <n>", "for --labels: parts that are judged by a model of the others", whole(2), 5)
    .option("--seed <n>", "for --labels: which image is in which part", whole(0), 1)
    .option("--json", "print JSON")
    .option("--quiet", "print only warnings and the result")
    .addHelpText(
      "after",
      `
Reads every image of every split. Nothing in the folder is changed. In the list,
the column "exclude" says yes for files that cannot be read and for training
images whose bytes are there already. Edit it, then train without those files.

--labels divides the images into parts, and models that were trained on the
others judge the labels of each (confident learning). With pretrained weights
(given, in the cache, or downloaded once) the models are linear and all images
pass a network once: about the time of one epoch of training. Where they cannot
be had it trains a network of its own for each part, which takes --folds times
as long as a training. Doubted labels are in the list with a suggested class and
a score, and are not left out unless you write yes into the column "exclude":
look through the list, since hard images with the right label are among them.

Examples:
  trainer data check photos
  trainer data check photos --labels --weights tf_efficientnet_lite0.safetensors
  trainer --preset transfer --data photos --exclude issues.csv`,
    )
    .action(check);
}

async function check(folder: string, options: CheckOptions): Promise<void> {
  if (options.weights !== undefined && !options.labels) {
    throw new TrainerError("ERR_OPTION", "--weights has no effect without --labels. Add --labels, or remove it.");
  }
  for (const [option, file] of [
    ["--page", options.page],
    ["--csv", options.csv],
  ] as const) {
    if (existsSync(file))
      throw new TrainerError("ERR_OUTPUT", `${file} already exists. Choose another path with ${option}.`);
  }
  const log = options.quiet ? undefined : tell;
  const path = resolve(folder);
  const labels = options.labels ? await labelsOf(path, options, log) : undefined;
  const inspection = await inspectFolder(path, { log, warn: tellWarning, labels });
  const page = pageHtml(await dataCheckPage(inspection, options.csv));
  writing(options.csv, () => writeFileSync(options.csv, issuesCsv(inspection.issues), { flag: "wx" }), "--csv");
  writing(options.page, () => writeFileSync(options.page, page, { flag: "wx" }), "--page");
  if (options.json) print(toJson({ ...inspection, page: options.page, csv: options.csv }));
  else print(asText(inspection, options));
}

/** How labels are judged: by features of pretrained weights where they can be had, else by trainings from random weights. */
export async function labelsOf(
  path: string,
  { weights, folds, seed }: Pick<CheckOptions, "weights" | "folds" | "seed">,
  log: (line: string) => void = () => {},
): Promise<NonNullable<InspectOptions["labels"]>> {
  // Before an image is read: weights that cannot be had cost no waiting.
  const pretrained =
    weights !== undefined || (await haveWeights(log))
      ? await openWeights(weights ?? `hf:${transferWeights}`, { log })
      : undefined;
  return async (images, files, classes) => {
    await loadBackend({ log });
    const size = 64;
    const judge = pretrained
      ? { weights: pretrained }
      : { config: fromScratch({ data: path, size, epochs: scratchEpochs(images.length) }), size };
    return labelIssues(images, { files, classes, judge, folds, seed, log });
  };
}

function asText({ images, classes, kinds, issues }: FolderInspection, { page, csv }: CheckOptions): string {
  const rows = kinds.map((kind) => {
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
  const rows = issues.map(({ file, split, class: name, kind, detail, exclude, suggested, score }) => [
    file,
    split,
    name,
    kind,
    detail,
    exclude ? "yes" : "no",
    suggested ?? "",
    score?.toFixed(4) ?? "",
  ]);
  const head = ["file", "split", "class", "issue", "detail", "exclude", "suggested", "score"];
  return [head, ...rows].map((cells) => `${csvLine(cells)}\n`).join("");
}

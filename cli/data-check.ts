/** `trainer data check FOLDER`: what may be wrong with a folder of images, as a page and as a list that `--exclude` takes. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { loadBackend } from "../core/backend/index.js";
import { csvLine, csvRows } from "../core/data/csv.js";
import { type FolderInspection, type FolderIssue, type InspectOptions, inspectFolder } from "../core/data/inspect.js";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";
import { counted } from "../core/format.js";
import { labelIssues } from "../core/labels/check.js";
import { openWeights } from "../core/pretrained/open.js";
import { fromScratch } from "../presets/index.js";
import { transferWeights } from "../presets/transfer.js";
import { dataCheckPage, pageTitle } from "../report/data-page.js";
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
  folds?: number;
  seed?: number;
  json?: boolean;
  quiet?: boolean;
}

export function addDataCheck(data: Command): void {
  data
    .command("check <folder>")
    .description("find unreadable, repeated, odd, dark and blurred images, and wrong labels")
    .option("--page <file>", "HTML page to write", "data-check.html")
    .option("--csv <file>", "list to write, for --exclude", "issues.csv")
    .option("--labels", "look for wrong labels too: minutes instead of seconds, see below")
    .option("--weights <file>", "for --labels: weights of an EfficientNet-Lite0, a file or hf:owner/name")
    .option("--folds <n>", "for --labels: parts that are judged by a model of the others (default: 5)", whole(2))
    .option("--seed <n>", "for --labels: which image is in which part (default: 1)", whole(0))
    .option("--json", "print JSON")
    .option("--quiet", "print only warnings and the result")
    .addHelpText(
      "after",
      `
Reads every image of every split. Nothing in the folder is changed. In the list,
the column "exclude" says yes for files that cannot be read and for training
images whose bytes are there already; of two training copies in different
classes, for neither. Edit it, then train without those files.

Repair files, then check again: page and list of an earlier check of the folder
are replaced, and what you wrote into "exclude" stays. Other files are not.
\`trainer data verify\` reads data of any kind, CIFAR too, and writes no file.

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
  const idle = (["weights", "folds", "seed"] as const).find((name) => options[name] !== undefined);
  if (idle !== undefined && !options.labels) {
    throw new TrainerError("ERR_OPTION", `--${idle} has no effect without --labels. Add --labels, or remove it.`);
  }
  const log = options.quiet ? undefined : tell;
  const path = resolve(folder);
  const before = earlierList(options, path);
  const labels = options.labels ? await labelsOf(path, options, log) : undefined;
  const fresh = await inspectFolder(path, { log, warn: tellWarning, labels });
  const inspection = { ...fresh, issues: asEdited(fresh.issues, before) };
  const page = pageHtml(await dataCheckPage(inspection, options.csv));
  const kept = keptRows(before, inspection);
  const list = issuesCsv(inspection.issues) + kept.map((cells) => `${csvLine(cells)}\n`).join("");
  writing(options.csv, (advice) => writeFileAtomic(options.csv, list, advice), "--csv");
  writing(options.page, (advice) => writeFileAtomic(options.page, page, advice), "--page");
  if (options.json) print(toJson({ ...inspection, page: options.page, csv: options.csv }));
  else print(asText(inspection, kept, options));
}

/** How labels are judged: by features of pretrained weights where they can be had, else by trainings from random weights. */
export async function labelsOf(
  path: string,
  { weights, folds = 5, seed = 1 }: Pick<CheckOptions, "weights" | "folds" | "seed">,
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

function asText(
  { images, classes, kinds, issues }: FolderInspection,
  kept: readonly string[][],
  { page, csv }: CheckOptions,
): string {
  const rows = kinds.map((kind) => {
    const own = issues.filter((each) => each.kind === kind);
    return [kind, String(own.length), own[0] ? `${own[0].file}: ${own[0].detail}` : ""];
  });
  const excluded = kept.filter(([, , , , , exclude]) => exclude === "yes").map(([file]) => file);
  const left = new Set([...excluded, ...issues.flatMap(({ file, exclude }) => (exclude ? [file] : []))]).size;
  return [
    `${images} images of ${classes.length} classes`,
    table([["issue", "images", "first"], ...rows]),
    ...(kept.length > 0
      ? [`${counted(kept.length, "row")} of the earlier list kept, of issues that were not looked for`]
      : []),
    `${left} files to leave out: --exclude ${csv}`,
    page,
  ].join("\n");
}

/** Columns of the list. */
const columns = ["file", "split", "class", "issue", "detail", "exclude", "suggested", "score"];

/**
 * Rows of the list that an earlier check of this folder wrote; the user may have edited it.
 *
 * @throws TrainerError ERR_OUTPUT for files in the way that are something else
 */
function earlierList({ page, csv }: CheckOptions, folder: string): string[][] {
  const isPage = (text: string): boolean =>
    text.includes(`<title>${pageTitle}</title>`) && text.includes(`"${folder}: `);
  const rows = existsSync(csv) ? listIn(csv) : [];
  const taken = [
    ...(existsSync(page) && !isPage(contentOf(page)) ? [{ path: page, option: "--page" }] : []),
    ...(rows === undefined ? [{ path: csv, option: "--csv" }] : []),
  ];
  if (taken.length === 0) return rows!;
  const both = taken.length === 2;
  throw new TrainerError(
    "ERR_OUTPUT",
    `${taken.map(({ path }) => path).join(" and ")} already ${both ? "exist" : "exists"}, not from an earlier check of ` +
      `${folder}. Choose ${both ? "other paths" : "another path"} with ${taken.map(({ option }) => option).join(" and ")}.`,
  );
}

/** The rows of a list of ours, or undefined for another file. */
function listIn(path: string): string[][] | undefined {
  try {
    const [head, ...rows] = csvRows(contentOf(path), path).map(({ cells }) => [...cells]);
    return head?.join() === columns.join() ? rows : undefined;
  } catch {
    return undefined;
  }
}

/** Empty for a folder, or a file that nobody may read. */
function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The same issue of the same file keeps what the user wrote into its column "exclude". */
function asEdited(issues: readonly FolderIssue[], before: readonly string[][]): FolderIssue[] {
  const edited = new Map(before.map(([file, , , kind, detail, exclude]) => [[file, kind, detail].join("\0"), exclude]));
  return issues.map((each) => {
    const exclude = edited.get([each.file, each.kind, each.detail].join("\0"));
    return exclude === undefined ? each : { ...each, exclude: exclude === "yes" };
  });
}

/** Rows of issues that this check did not look for: doubted labels without --labels, and the user's own. */
const keptRows = (before: readonly string[][], { path, kinds }: FolderInspection): string[][] =>
  before.filter(([file = "", , , kind]) => !kinds.some((each) => each === kind) && existsSync(resolve(path, file)));

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
  return [columns, ...rows].map((cells) => `${csvLine(cells)}\n`).join("");
}

/**
 * A CSV file of paths and labels as an image folder: columns `path` (relative to the file's folder; or `file`, `filename`,
 * `image`), `label` (or `class`), and maybe `split`.
 * Every mistake of the file is found before an image is read, and is named with its line.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { TrainerError } from "../errors.js";
import { type CsvRow, csvRows } from "./csv.js";
import { inParallel } from "./decode.js";
import { byCodePoints, type ClassFolder, type FolderScan, type SplitName, splitNames } from "./folder-scan.js";

/** Whether a path names such a file, by its ending. */
export const isLabelFile = (path: string): boolean => /\.csv$/i.test(path);

const columns = ["path", "label", "split"] as const;
/** What other tools call these columns. */
const otherNames: Readonly<Record<string, (typeof columns)[number]>> = {
  file: "path",
  filename: "path",
  image: "path",
  class: "label",
};
/** Mistakes that one error names. */
const shown = 20;

interface Listed {
  readonly line: number;
  readonly file: string;
  readonly label: string;
  readonly split: SplitName;
}

/**
 * What the file lists, by split and class; classes and images are in the order of their code points, as those of folders are.
 *
 * @throws TrainerError ERR_DATA with every mistake and its line
 */
export async function scanLabelFile(path: string): Promise<FolderScan> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === "ENOENT" ? "does not exist" : `cannot be read (${cause.code})`;
    throw new TrainerError("ERR_DATA", `${path} ${problem}. Expected a CSV file with columns path and label.`, {
      cause,
    });
  });
  const [head, ...rows] = csvRows(text, path);
  const given = head?.cells.map((name) => name.trim()) ?? [];
  const names = given.map((name) => otherNames[name.toLowerCase()] ?? name.toLowerCase());
  const unknown = names.filter((name, at) => !columns.some((each) => each === name) || names.indexOf(name) !== at);
  if (unknown.length > 0 || !names.includes("path") || !names.includes("label")) {
    const wanted = "expected the columns path, label and maybe split, each once";
    throw new TrainerError(
      "ERR_DATA",
      `${path}: line ${head?.line ?? 1}: ${wanted}, got ${given.join(", ") || "nothing"}.`,
    );
  }
  const problems = new Map<number, string>();
  const listed = rows.flatMap((row) => {
    const found = readRow(row, names, dirname(path));
    if (typeof found === "object") return [found];
    problems.set(row.line, found);
    return [];
  });
  checkFiles(listed, await kindsOf(listed), dirname(path), problems);
  checkClasses(listed, problems);
  if (problems.size > 0) throw mistakes(path, problems);
  return scanOf(path, listed);
}

/** A row, or what is wrong with it. */
function readRow({ line, cells }: CsvRow, names: readonly string[], folder: string): Listed | string {
  if (cells.length !== names.length) return `expected ${names.length} cells (${names.join(", ")}), got ${cells.length}`;
  const cell = (name: (typeof columns)[number]): string => (cells[names.indexOf(name)] ?? "").trim();
  const [given, label] = [cell("path"), cell("label")];
  if (given === "") return "the path is empty";
  if (label === "") return `${given} has no label`;
  const file = resolve(folder, given);
  const inside = relative(folder, file);
  if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    return `${given} is outside of ${folder}, the folder of this file`;
  }
  const split = names.includes("split") ? splitOf(cell("split")) : "train";
  if (split === undefined) return `expected train, val or test as split, got ${cell("split") || "nothing"}`;
  return { line, file, label, split };
}

function splitOf(text: string): SplitName | undefined {
  const names = Object.keys(splitNames) as SplitName[];
  return names.find((name) => (splitNames[name] as readonly string[]).includes(text.trim().toLowerCase()));
}

/** What lies at each path. */
async function kindsOf(listed: readonly Listed[]): Promise<ReadonlyMap<string, "file" | "other" | undefined>> {
  const kinds = new Map<string, "file" | "other" | undefined>();
  await inParallel(listed, async ({ file }) => {
    const found = await stat(file).catch(() => undefined);
    kinds.set(file, found && (found.isFile() ? "file" : "other"));
  });
  return kinds;
}

function checkFiles(
  listed: readonly Listed[],
  kinds: ReadonlyMap<string, "file" | "other" | undefined>,
  folder: string,
  problems: Map<number, string>,
): void {
  const lines = new Map<string, number>();
  for (const { line, file } of listed) {
    const name = relative(folder, file);
    const first = lines.get(file);
    const kind = kinds.get(file);
    if (first !== undefined) problems.set(line, `${name} is in line ${first} already`);
    else if (kind === undefined) problems.set(line, `${name} does not exist`);
    else if (kind === "other") problems.set(line, `${name} is no file`);
    lines.set(file, first ?? line);
  }
}

/** Validation and test may lack classes and must not add any. */
function checkClasses(listed: readonly Listed[], problems: Map<number, string>): void {
  const known = new Set(listed.filter(({ split }) => split === "train").map(({ label }) => label));
  for (const { line, label, split } of listed) {
    if (known.has(label) || problems.has(line)) continue;
    problems.set(line, `no training image has the label ${label} of this ${split} image`);
  }
}

function mistakes(path: string, problems: ReadonlyMap<number, string>): TrainerError {
  const lines = [...problems].sort(([a], [b]) => a - b).map(([line, problem]) => `  line ${line}: ${problem}`);
  const more = lines.length > shown ? [`  … and ${lines.length - shown} more`] : [];
  const count = lines.length === 1 ? "1 line is wrong" : `${lines.length} lines are wrong`;
  return new TrainerError(
    "ERR_DATA",
    `${path}: ${count}. Correct or remove:\n${[...lines.slice(0, shown), ...more].join("\n")}`,
  );
}

function scanOf(path: string, listed: readonly Listed[]): FolderScan {
  const classesOf = (split: SplitName): ClassFolder[] | undefined => {
    const own = listed.filter((each) => each.split === split);
    if (own.length === 0) return undefined;
    const files = new Map<string, string[]>();
    for (const { label, file } of own) {
      const listed = files.get(label);
      if (listed) listed.push(file);
      else files.set(label, [file]);
    }
    return [...files]
      .sort(([a], [b]) => byCodePoints(a, b))
      .map(([name, all]) => ({ name, files: all.sort(byCodePoints) }));
  };
  const train = classesOf("train") ?? [];
  if (train.length < 2) {
    const got = train[0] ? `only ${train[0].name}` : "none";
    throw new TrainerError("ERR_DATA", `${path}: expected training images of two or more labels, got ${got}.`);
  }
  const [validation, given] = [classesOf("validation"), classesOf("test")];
  // As for folders: without test images, those for validation are the test split.
  const test = given ?? validation;
  const others = { ...(given && validation && { validation }), ...(test && { test }) };
  const counts = Object.entries({ training: train, ...others }).map(
    ([split, classes]) => `${classes.reduce((sum, { files }) => sum + files.length, 0)} for ${split}`,
  );
  return { train, ...others, layout: `${path}: ${counts.join(", ")}` };
}

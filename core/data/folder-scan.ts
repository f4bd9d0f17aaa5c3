/**
 * What lies below the path of an image folder: splits, classes, their files, and an account of all the rest.
 *
 * Nothing is read but folders. Links are followed, except to a folder that holds them.
 */
import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import { TrainerError } from "../errors.js";
import { counted } from "../format.js";
import { endingsInWords, imageEnding } from "./image-formats.js";

export interface ClassFolder {
  readonly name: string;
  /** Paths of its images, those of folders inside it included, in the order of their code points. */
  readonly files: readonly string[];
}

export interface FolderScan {
  readonly train: readonly ClassFolder[];
  readonly validation?: readonly ClassFolder[];
  readonly test?: readonly ClassFolder[];
  /** Where the splits come from: one sentence. */
  readonly layout: string;
  /** What is not used and is no file of the system: one sentence. */
  readonly unused?: string;
  /** Hidden files and files of the system that are not used: one sentence. */
  readonly hidden?: string;
}

/** Names of a split's folder, in any case. */
export const splitNames = {
  train: ["train", "training"],
  validation: ["val", "valid", "validation"],
  test: ["test", "testing"],
} as const;
export type SplitName = keyof typeof splitNames;

/**
 * The order of classes and of images in them. Bytes of UTF-8 sort as code points do; the plain sort, by UTF-16 units, does not.
 */
export const byCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What a run writes into its folder first: a folder with one of these holds a run and no images of a class. */
export const runMarks: readonly string[] = ["run.lock", "config.resolved.json"];

/** Files that systems leave everywhere. */
const systemName = /^(\..*|Thumbs\.db|desktop\.ini|__MACOSX)$/i;

/** Why something is not used -> paths relative to the data's. */
type Account = Map<string, string[]>;
const hiddenFiles = "hidden or system entries";

/**
 * The images below a path, by split and class.
 *
 * @throws TrainerError ERR_DATA for a layout that says no clear thing: no classes, empty ones, two folders of one split
 */
export async function scanFolder(path: string): Promise<FolderScan> {
  const account: Account = new Map();
  const leaveOut = (why: string, full: string): void => {
    const paths = account.get(why) ?? [];
    account.set(why, paths);
    paths.push(relative(path, full) || ".");
  };
  const folders = await foldersIn(path, leaveOut);
  const roots = splitsAmong(path, folders);
  if (roots.train !== path) {
    const used = Object.values(roots);
    for (const { path: other } of folders) if (!used.includes(other)) leaveOut("folders beside the splits", other);
  }
  const train = await readClasses(roots.train, leaveOut, roots.train === path ? folders : undefined);
  if (train.length < 2) throw await tooFewClasses(roots.train, train);
  const classes = new Set(train.map(({ name }) => name));
  const others: { validation?: ClassFolder[]; test?: ClassFolder[] } = {};
  for (const split of ["validation", "test"] as const) {
    const root = roots[split];
    if (root === undefined) continue;
    const found = await readClasses(root, leaveOut);
    const unknown = found.filter(({ name }) => !classes.has(name)).map(({ name }) => name);
    if (unknown.length > 0) {
      throw new TrainerError(
        "ERR_DATA",
        `${root}: expected classes of ${relative(path, roots.train)}/, got ${unknown.join(", ")} as well. ` +
          "Add training images of these classes, or move the folders away.",
      );
    }
    if (found.length > 0) others[split] = found;
    else leaveOut("splits without a class folder", root);
  }
  const { [hiddenFiles]: hidden, ...rest } = Object.fromEntries(account);
  return {
    train,
    ...others,
    layout: layoutOf(path, roots, others),
    unused: sentence(path, Object.entries(rest)),
    hidden: hidden && sentence(path, [[hiddenFiles, hidden]]),
  };
}

function layoutOf(path: string, roots: Partial<Record<SplitName, string>>, found: object): string {
  const { train, ...others } = roots;
  const parts = Object.entries(others)
    .filter(([split, root]) => root !== undefined && split in found)
    .map(([split, root]) => `, ${relative(path, root)}/ for ${split}`);
  return `${path}: ${train === path ? "all images" : `${relative(path, train!)}/`} for training${parts.join("")}`;
}

function sentence(path: string, left: readonly [why: string, paths: readonly string[]][]): string | undefined {
  if (left.length === 0) return undefined;
  const parts = left.map(([why, paths]) => {
    const more = paths.length > 3 ? ", …" : "";
    return `${paths.length} ${why} (${paths.slice(0, 3).join(", ")}${more})`;
  });
  const advice = left.some(([why]) => /^\.hei[cf] /.test(why)) ? ` ${heicAdvice}` : "";
  return `Not used below ${path}: ${parts.join("; ")}.${advice}`;
}

const heicAdvice =
  "HEIC photos are not read: convert them to JPEG (on macOS: sips -s format jpeg a.heic --out a.jpg; elsewhere: magick a.heic a.jpg).";
const heicEnding = /\.hei[cf]$/i;

interface Folder {
  readonly name: string;
  readonly path: string;
}
type LeaveOut = (why: string, path: string) => void;

/** The folders of the splits. Where validation has a folder and test has none, that folder is the test split. */
function splitsAmong(path: string, folders: readonly Folder[]): { train: string; validation?: string; test?: string } {
  const named = (split: SplitName): string | undefined => {
    const found = folders.filter(({ name }) => (splitNames[split] as readonly string[]).includes(name.toLowerCase()));
    if (found.length < 2) return found[0]?.path;
    const names = found.map(({ name }) => `${name}/`).join(" and ");
    throw new TrainerError("ERR_DATA", `${path}: expected one folder of the ${split} split, got ${names}. Keep one.`);
  };
  const train = named("train");
  if (train === undefined) {
    const all = Object.values(splitNames).flat() as string[];
    const isSplit = folders.length > 0 && folders.every(({ name }) => all.includes(name.toLowerCase()));
    const lone = folders.find(({ name }) => isSplit || /^(test|val)$/i.test(name));
    if (lone) {
      throw new TrainerError("ERR_DATA", `${path}: expected train/<class>/ beside ${lone.name}/, got no train/.`);
    }
    return { train: path };
  }
  const [validation, test] = [named("validation"), named("test")];
  return test === undefined ? { train, test: validation } : { train, validation, test };
}

/** The class folders below a split's, with their images. */
async function readClasses(path: string, leaveOut: LeaveOut, known?: readonly Folder[]): Promise<ClassFolder[]> {
  const found: ClassFolder[] = [];
  const empty: string[] = [];
  for (const { name, path: folder } of known ?? (await foldersIn(path, leaveOut))) {
    const { files, runs } = await imagesIn(folder, [], leaveOut);
    if (files.length > 0) found.push({ name, files });
    else if (runs === 0) empty.push(name); // a folder of runs alone is no class
  }
  if (empty.length === 0) return found;
  const inside = await Promise.all(empty.map((name) => readdir(join(path, name), { recursive: true })));
  const advice = inside.flat().some((name) => heicEnding.test(name))
    ? heicAdvice
    : `Fill or remove ${empty.length > 1 ? "them" : "it"}.`;
  throw new TrainerError(
    "ERR_DATA",
    `${path}: expected images (${endingsInWords}) in every class folder, got none in ${empty.join(", ")}. ${advice}`,
  );
}

/** The images of a folder and of those inside it, and how many runs lie there, which are left out whole. */
async function imagesIn(
  folder: string,
  above: readonly string[],
  leaveOut: LeaveOut,
): Promise<{ files: string[]; runs: number }> {
  const found = { files: [] as string[], runs: 0 };
  const here = await realpath(folder).catch(() => folder);
  const entries = await list(folder);
  if (entries.some(({ name }) => runMarks.includes(name))) {
    leaveOut("folders of runs", folder);
    return { ...found, runs: 1 };
  }
  if (above.includes(here)) {
    leaveOut("links to a folder around them", folder);
    return found;
  }
  const inside: string[] = [];
  for (const entry of entries) {
    const full = join(folder, entry.name);
    const kind = await kindOf(entry, full);
    if (systemName.test(entry.name)) leaveOut(hiddenFiles, full);
    else if (kind === "folder") inside.push(full);
    else if (kind === "other") leaveOut("entries that are no files", full);
    else if (imageEnding.test(entry.name)) found.files.push(full);
    else leaveOut(`${extname(entry.name).toLowerCase() || "unnamed"} files`, full);
  }
  for (const path of inside) {
    const { files, runs } = await imagesIn(path, [...above, here], leaveOut);
    for (const file of files) found.files.push(file);
    found.runs += runs;
  }
  return found;
}

async function tooFewClasses(path: string, found: readonly ClassFolder[]): Promise<TrainerError> {
  const [only] = found;
  const deeper = only && (await foldersIn(join(path, only.name), () => {}));
  const files = (await list(path)).filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const images = files.filter((name) => imageEnding.test(name) && !systemName.test(name)).length;
  const table = files.find((name) => /\.csv$/i.test(name));
  const advice = [
    ...(deeper && deeper.length > 1
      ? [` If ${deeper.map(({ name }) => name).join(", ")} are the classes, give ${join(path, only.name)}.`]
      : []),
    ...(table ? [` If ${table} has their labels, give ${join(path, table)}.`] : []),
    ...(images > 0
      ? [
          ` ${counted(images, "image")} ${images === 1 ? "lies" : "lie"} directly in it: put each class into a folder of its own.`,
        ]
      : []),
  ].join("");
  return new TrainerError(
    "ERR_DATA",
    `${path}: expected one folder for each of two or more classes, got ` +
      `${only ? `only the class folder ${only.name}` : "no class folder"}.${advice}`,
  );
}

/** Folders below a path, links to folders too, in the order of their code points; the rest is left out. */
async function foldersIn(path: string, leaveOut: LeaveOut): Promise<Folder[]> {
  const folders: Folder[] = [];
  for (const entry of await list(path)) {
    const full = join(path, entry.name);
    if (systemName.test(entry.name)) leaveOut(hiddenFiles, full);
    else if ((await kindOf(entry, full)) !== "folder") leaveOut("files outside of class folders", full);
    else folders.push({ name: entry.name, path: full });
  }
  return folders;
}

/** What an entry is or links to. A link to nothing is a file, which reading will report. */
async function kindOf(entry: Dirent, path: string): Promise<"folder" | "file" | "other"> {
  const found = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
  if (found === undefined || found.isFile()) return "file";
  return found.isDirectory() ? "folder" : "other";
}

async function list(path: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.sort((a, b) => byCodePoints(a.name, b.name));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const problem =
      code === "ENOENT" ? "does not exist" : code === "ENOTDIR" ? "is not a folder" : `cannot be read (${code})`;
    throw new TrainerError("ERR_DATA", `${path} ${problem}. Expected a folder of class folders with images.`, {
      cause,
    });
  }
}

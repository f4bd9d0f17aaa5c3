/** Finding the files of a CIFAR set: in a folder, in an archive, in the cache, on the web. */

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { cacheRoot } from "../cache.js";
import { TrainerError } from "../errors.js";
import { type Member, readArchive } from "./archive.js";
import type { LabelByte } from "./cifar-records.js";
import type { Data } from "./dataset.js";
import { download, type RemoteFile } from "./download.js";

export interface Layout {
  readonly name: string;
  readonly title: string;
  /** The folder inside the archive. */
  readonly folder: string;
  readonly archive: string;
  readonly remote: RemoteFile;
  readonly train: readonly string[];
  readonly test: readonly string[];
  /**
   * The label bytes of a record, in order, and the text file with the names of each. The last is the class.
   */
  readonly labelBytes: readonly (LabelByte & { readonly namesFile: string })[];
  readonly mean: Data["mean"];
  readonly deviation: Data["deviation"];
}

/** What lies where a set was found. */
export interface CifarFiles {
  /** The folder, or the archive. */
  readonly path: string;
  /** Every file of the layout, by name. */
  readonly members: ReadonlyMap<string, Member>;
}

/**
 * The archive in the cache, downloaded if that is allowed.
 *
 * @throws TrainerError ERR_DATA that says how to get the data, if it is not there and may not be downloaded
 */
export async function cachedArchive(
  layout: Layout,
  mayDownload: boolean,
  log: (line: string) => void,
): Promise<string> {
  const { name, title, remote } = layout;
  const path = join(cacheRoot(), "data", layout.archive);
  if (mayDownload) {
    await download(remote, path, { log });
  } else if (!(await exists(path))) {
    throw new TrainerError(
      "ERR_DATA",
      `${title} is not here: no path was given and ${path} does not exist. Give its folder or archive with ` +
        `--data PATH, or allow the download of ${Math.round(remote.bytes / 1e6)} MB: ` +
        `data: ${name}({ download: true }).`,
    );
  }
  return path;
}

/**
 * All files of a set, whole in memory, from a folder or an archive.
 *
 * @throws TrainerError ERR_DATA if the path is neither, or files are missing
 */
export async function readFiles(layout: Layout, place: string): Promise<CifarFiles> {
  const { path, isFolder } = await locate(layout, place);
  const names = [...layout.train, ...layout.test, ...layout.labelBytes.map(({ namesFile }) => namesFile)];
  const members = isFolder ? await readFolder(path, names) : await readArchive(path, names);
  const missing = names.filter((name) => !members.has(name));
  if (missing.length === 0) return { path, members };
  throw new TrainerError(
    "ERR_DATA",
    `${path} has no ${missing.join(", no ")}. ` +
      `Expected the binary version of ${layout.title}, not the Python or Matlab one: ${names.join(", ")}.`,
  );
}

/** The folder of record files or the archive that a path means. */
async function locate(layout: Layout, path: string): Promise<{ path: string; isFolder: boolean }> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === "ENOENT" ? "does not exist" : `cannot be read (${cause.code})`;
    const advice = "Give its folder or archive with --data.";
    throw new TrainerError("ERR_DATA", `${layout.title}: ${path} ${problem}. ${advice}`, { cause });
  });
  if (found.isFile()) return { path, isFolder: false };
  if (found.isDirectory()) {
    for (const folder of [path, join(path, layout.folder)]) {
      for (const file of [...layout.train, ...layout.test]) {
        if (await exists(join(folder, file))) return { path: folder, isFolder: true };
      }
    }
    for (const name of [layout.archive, layout.archive.replace(/\.gz$/, "")]) {
      if (await exists(join(path, name))) return { path: join(path, name), isFolder: false };
    }
  }
  const kind = found.isDirectory() ? "a folder without it" : "neither a file nor a folder";
  throw new TrainerError(
    "ERR_DATA",
    `${layout.title}: ${path} is ${kind}. Expected a folder with ${layout.train[0]}, ${layout.folder}/ or ` +
      `${layout.archive}, or the archive itself.`,
  );
}

/** The files of a folder that are there, whole. */
async function readFolder(folder: string, names: readonly string[]): Promise<Map<string, Member>> {
  const maxBytes = 400e6;
  const members = new Map<string, Member>();
  for (const name of names) {
    const path = join(folder, name);
    if (!(await exists(path))) continue;
    const found = await stat(path);
    if (!found.isFile() || found.size > maxBytes) {
      const kind = found.isFile()
        ? `has ${found.size} bytes, more than the ${maxBytes} that are read`
        : "is not a file";
      throw new TrainerError("ERR_DATA", `${path} ${kind}. Expected a file of the binary version.`);
    }
    const bytes = await readFile(path).catch((cause: Error) => {
      throw new TrainerError("ERR_IO", `${path} cannot be read: ${cause.message}`, { cause });
    });
    members.set(name, { bytes, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  return members;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

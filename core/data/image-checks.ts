/**
 * What is known of each image file: SHA-256 of its content, and that it decodes. Reading every byte at each start
 * would take minutes, so this is noted in the user's cache.
 *
 * A file counts as unchanged while its size, its time of modification and its time of change (mtime and ctime, in
 * nanoseconds) are those noted; ctime cannot be set by a program. A file that changed less than two seconds before it
 * was read is not noted: its clock may not tell the next change apart. The notes end with a checksum; without it, or
 * without a cache, every file is read again.
 */
import { createHash, randomUUID } from "node:crypto";
import { type BigIntStats, createReadStream } from "node:fs";
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { cacheRoot } from "../cache.js";
import { makeFolders } from "../files.js";
import { type Damaged, type ImageHeader, inParallel, oneLine, reasonsAlone } from "./decode.js";
import { formatOf, headBytes, imageFormats } from "./image-formats.js";

export interface ImageChecks {
  /** File -> SHA-256 of its content, as hex. */
  readonly hashes: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, ImageHeader>;
  readonly damaged: readonly Damaged[];
}

export interface CheckOptions {
  /** What paths in the notes are relative to. */
  root: string;
  /** Reads a file's header; rejects for a file that is damaged. `full` asks for its pixels as well. */
  decode: (file: string, full: boolean) => Promise<ImageHeader>;
  full: boolean;
  log?: (line: string) => void;
  /** Where notes of all data sets lie; undefined: nowhere. Default: `images` in the user's cache. */
  notes?: string | undefined;
  /** Milliseconds for which a file must have been as it is to be noted. Default: 2000. */
  settled?: number;
}

interface Note {
  readonly size: bigint;
  readonly modified: bigint;
  readonly changed: bigint;
  readonly sha256: string;
  readonly header: ImageHeader;
  /** Whether its pixels were decoded, too. */
  readonly full: boolean;
}
type Notes = Map<string, Note>;

/** From so many files on, the work is announced. */
const many = 2000;
/** Milliseconds between two writings of the notes: what an interrupted check did is not done again. */
const saveEvery = 30_000;

/** Checks all files, those that the notes do not know by reading them. */
export async function checkImages(files: readonly string[], options: CheckOptions): Promise<ImageChecks> {
  const { root, decode, full, log = () => {}, notes: folder = defaultFolder(), settled = 2000 } = options;
  const place = folder && join(folder, `${sha256(await realpath(root))}.txt`);
  const known: Notes = place === undefined ? new Map() : await readNotes(place);
  const noted: Notes = new Map();
  const hashes = new Map<string, string>();
  const headers = new Map<string, ImageHeader>();
  const failed = new Map<string, string>();
  const unknown: string[] = [];

  await inParallel(files, async (file) => {
    const note = known.get(relative(root, file));
    const found = await stat(file, { bigint: true }).catch(() => undefined); // reading will report it
    if (!note || !found || !isOf(note, found) || (full && !note.full)) unknown.push(file);
    else {
      hashes.set(file, note.sha256);
      headers.set(file, note.header);
      noted.set(relative(root, file), note);
    }
  });
  if (unknown.length >= many) {
    log(`checking ${unknown.length} of ${files.length} images; the next start reads those that changed`);
  }
  const examine = async (file: string): Promise<{ content: string; header: ImageHeader }> => {
    const content = await digest(file);
    return { content, header: await decode(file, full) };
  };
  let saved = performance.now();
  let news = known.size > noted.size; // of files that are gone or changed
  await inParallel(unknown, async (file) => {
    try {
      const before = await stat(file, { bigint: true });
      const { content, header } = await examine(file);
      hashes.set(file, content);
      headers.set(file, header);
      const after = await stat(file, { bigint: true });
      const note: Note = {
        size: before.size,
        modified: before.mtimeNs,
        changed: before.ctimeNs,
        sha256: content,
        header,
        full,
      };
      const newest = Math.max(Number(after.mtimeMs), Number(after.ctimeMs));
      if (!isOf(note, after) || Date.now() - newest < settled) return;
      noted.set(relative(root, file), note);
      news = true;
    } catch (error) {
      failed.set(file, oneLine((error as Error).message));
    }
    if (place !== undefined && news && performance.now() - saved > saveEvery) {
      saved = performance.now();
      await writeNotes(place, noted);
    }
  });
  if (place !== undefined && news) await writeNotes(place, noted);
  const order = files.filter((file) => failed.has(file));
  const damaged = await reasonsAlone(
    order.map((file) => ({ file, problem: failed.get(file)! })),
    examine,
  );
  return { hashes, headers, damaged };
}

const isOf = (note: Note, found: BigIntStats): boolean =>
  note.size === found.size && note.modified === found.mtimeNs && note.changed === found.ctimeNs;

/** SHA-256 of a file's content. @throws Error for a content that is no image of a format that is read */
async function digest(file: string): Promise<string> {
  const hash = createHash("sha256");
  let head: Buffer | undefined;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 })) {
    if (head === undefined) mustBeImage((head = (chunk as Buffer).subarray(0, headBytes)));
    hash.update(chunk as Buffer);
  }
  if (head === undefined) mustBeImage(Buffer.alloc(0));
  return hash.digest("hex");
}

/** @throws Error for first bytes of no image format that is read */
export function mustBeImage(head: Buffer): void {
  const format = formatOf(head);
  if (typeof format === "string") return;
  throw new Error(`expected ${imageFormats.slice(0, -1).join(", ")} or ${imageFormats.at(-1)}, got ${format.instead}`);
}

/** Undefined where there is no home to have a cache in. */
function defaultFolder(): string | undefined {
  try {
    return join(cacheRoot(), "images");
  } catch {
    return undefined;
  }
}

const sha256 = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");

const firstLine = "fitloop image checks 2";

/** Nothing for notes that are not there, of another version or damaged. */
async function readNotes(place: string): Promise<Notes> {
  const notes: Notes = new Map();
  const text = await readFile(place, "utf8").catch(() => "");
  const end = text.lastIndexOf("\n", text.length - 2) + 1;
  if (text.slice(end) !== `${sha256(text.slice(0, end))}\n`) return notes;
  const [first, ...lines] = text.slice(0, end).split("\n");
  if (first !== firstLine) return notes;
  for (const line of lines.slice(0, -1)) {
    const [content, full, size, modified, changed, width, height, format, plain, ...path] = line.split(" ");
    notes.set(JSON.parse(path.join(" ")) as string, {
      size: BigInt(size!),
      modified: BigInt(modified!),
      changed: BigInt(changed!),
      sha256: content!,
      header: { width: Number(width), height: Number(height), format: format!, plain: plain === "plain" },
      full: full === "full",
    });
  }
  return notes;
}

/** Does without where it cannot be written: the next start reads the images again. */
async function writeNotes(place: string, notes: Notes): Promise<void> {
  const lines = [...notes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, { size, modified, changed, sha256: content, full, header }]) => {
      const { width, height, format, plain } = header;
      const file = [content, full ? "full" : "header", size, modified, changed];
      return [...file, width, height, format, plain ? "plain" : "other", JSON.stringify(path)].join(" ");
    });
  const text = [firstLine, ...lines, ""].join("\n");
  const temporary = `${place}.${randomUUID()}`;
  try {
    makeFolders(dirname(place));
    await writeFile(temporary, `${text}${sha256(text)}\n`, { flag: "wx" });
    await rename(temporary, place);
  } catch {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

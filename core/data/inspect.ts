/**
 * Problems of a folder's images that need no network: unreadable files, odd shapes, copies, dark, bright and blurred images.
 * Measures and thresholds of brightness and shape are those that cleanvision publishes.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { resizeRegion } from "../image/resize.js";
import { quantile } from "../statistics.js";
import type { Image } from "./dataset.js";
import { inParallel, oneLine, openDecoder, reasonsAlone } from "./decode.js";
import type { ClassFolder } from "./folder-scan.js";
import { mustBeImage } from "./image-checks.js";
import { scanImages } from "./image-folder.js";
import { headBytes } from "./image-formats.js";

export const issueKinds = [
  "unreadable",
  "exact copy",
  "near copy",
  "odd size",
  "odd ratio",
  "dark",
  "bright",
  "blurred",
  "doubted label",
] as const;
export type IssueKind = (typeof issueKinds)[number];

export interface FolderIssue {
  readonly kind: IssueKind;
  /** Relative to the folder. */
  readonly file: string;
  readonly split: string;
  readonly class: string;
  /** What was measured, or which file this one is a copy of. */
  readonly detail: string;
  /** The other file of a pair. */
  readonly other?: string;
  /** Of a doubted label: the class that fits better, and the probability of the given one, from 0 to 1. */
  readonly suggested?: string;
  readonly score?: number;
  /** Whether training is better off without it, beyond doubt: it cannot be read, or its bytes are there already. */
  readonly exclude: boolean;
}

export interface FolderInspection {
  readonly path: string;
  readonly layout: string;
  readonly images: number;
  readonly classes: readonly { readonly name: string; readonly images: number }[];
  /** What was looked for. */
  readonly kinds: readonly IssueKind[];
  readonly issues: readonly FolderIssue[];
}

/** One image that was read. */
export interface Seen {
  readonly file: string;
  readonly split: string;
  readonly class: string;
  readonly height: number;
  readonly width: number;
  readonly sha256: string;
  readonly measures: Measures;
}

export interface Measures {
  /** 5th and 99th percentile of the perceived brightness of its pixels, in [0, 1]. */
  readonly low: number;
  readonly high: number;
  /** Variance of the Laplacian of its grey values over their own variance: small where nothing is sharp, at any contrast. */
  readonly sharpness: number;
  /** 64 bits in two halves; images that look alike differ in few. */
  readonly hash: readonly [number, number];
}

/** The least brightness, ratio and sharpness of an image, and how many bits of the hash a near copy may differ in. */
export const thresholds = { dark: 0.32, bright: 0.95, ratio: 0.35, sharpness: 0.05, bits: 3 } as const;
/** Above so many images, near copies are those of equal hashes: pairs would take minutes. */
const allPairs = 20_000;
/** Side of the copy that is measured, in pixels. */
const side = 64;

export interface InspectOptions {
  log?: (line: string) => void;
  warn?: (message: string) => void;
  /** Looks for doubted labels too: among the images that can be read, whose absolute paths are `files`. */
  labels?: (images: readonly Seen[], files: readonly string[], classes: readonly string[]) => Promise<FolderIssue[]>;
}

/**
 * @param given a folder, or a CSV file of paths and labels
 * @throws TrainerError ERR_DATA for a folder without a layout
 */
export async function inspectFolder(
  given: string,
  { log = () => {}, warn = () => {}, labels }: InspectOptions = {},
): Promise<FolderInspection> {
  const scan = await scanImages(given);
  const { root: path } = scan;
  log(scan.layout);
  if (scan.unused) warn(scan.unused);
  if (scan.hidden) log(scan.hidden);
  const decoder = await openDecoder();
  const all = (["train", "validation", "test"] as const).flatMap((split) =>
    (scan[split] ?? []).flatMap((folder) => folder.files.map((file) => ({ file, split, class: folder.name }))),
  );
  const seen = new Map<string, Seen>();
  const failed = new Map<string, string>();
  await inParallel(all, async (each) => {
    try {
      const content = await readFile(each.file);
      mustBeImage(content.subarray(0, headBytes));
      const { height, width } = await decoder.readHeader(each.file);
      const small = await decoder.thumbnail(each.file, side);
      const sha256 = createHash("sha256").update(content).digest("hex");
      const file = relative(path, each.file);
      seen.set(each.file, { ...each, file, height, width, sha256, measures: measure(small) });
    } catch (error) {
      failed.set(each.file, oneLine((error as Error).message));
    }
  });
  const damage = await reasonsAlone(
    all.flatMap(({ file }) => (failed.has(file) ? [{ file, problem: failed.get(file)! }] : [])),
    async (file) => {
      mustBeImage((await readFile(file)).subarray(0, headBytes));
      await decoder.readHeader(file);
      await decoder.decodeWhole(file);
    },
  );
  const unreadable = new Map(damage.map(({ file, problem }) => [file, problem]));
  const files = all.map(({ file }) => file).filter((file) => seen.has(file));
  const read = files.map((file) => seen.get(file)!);
  const damaged = all.flatMap((each): FolderIssue[] => {
    const problem = unreadable.get(each.file);
    if (problem === undefined) return [];
    return [{ ...each, file: relative(path, each.file), kind: "unreadable", detail: problem, exclude: true }];
  });
  const classes = scan.train.map(({ name }) => name);
  const doubted = labels && read.length > 0 ? await labels(read, files, classes) : [];
  return {
    path,
    layout: scan.layout,
    images: all.length,
    classes: scan.train.map(({ name, files }: ClassFolder) => ({ name, images: files.length })),
    kinds: issueKinds.filter((kind) => labels !== undefined || kind !== "doubted label"),
    issues: [...damaged, ...issuesOf(read), ...doubted],
  };
}

/** Issues of images that were read, kind by kind, in the order of the images. */
export function issuesOf(images: readonly Seen[]): FolderIssue[] {
  return [...copies(images), ...oddSizes(images), ...images.flatMap(alone)];
}

const issue = (
  kind: IssueKind,
  { file, split, class: name }: Seen,
  detail: string,
  more: { other?: string; exclude?: boolean } = {},
): FolderIssue => ({ kind, file, split, class: name, detail, exclude: false, ...more });

/** What one image shows without the others. */
function alone(image: Seen): FolderIssue[] {
  const { height, width, measures } = image;
  const { low, high, sharpness } = measures;
  const ratio = Math.min(height, width) / Math.max(height, width);
  return [
    ...(ratio < thresholds.ratio ? [issue("odd ratio", image, `${width} × ${height}`)] : []),
    ...(high < thresholds.dark ? [issue("dark", image, `brightest pixels ${high.toFixed(2)} of 1`)] : []),
    ...(low > thresholds.bright ? [issue("bright", image, `darkest pixels ${low.toFixed(2)} of 1`)] : []),
    ...(sharpness < thresholds.sharpness ? [issue("blurred", image, `sharpness ${sharpness.toFixed(3)}`)] : []),
  ];
}

/** Sides far from the others': more than three times the middle half of them (Tukey's fences, wide). */
function oddSizes(images: readonly Seen[]): FolderIssue[] {
  const sides = images.map(({ height, width }) => Math.sqrt(height * width));
  const sorted = Float64Array.from(sides).sort();
  const [first, third] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
  const spread = 3 * Math.max(third - first, 0.05 * third);
  return images
    .filter((_, at) => sides[at]! < first - spread || sides[at]! > third + spread)
    .map((image) => issue("odd size", image, `${image.width} × ${image.height}`));
}

/**
 * Copies of earlier images. Test and validation images come first, so that the training image of a pair across splits is the
 * copy: leaving it out keeps the figures honest.
 */
function copies(images: readonly Seen[]): FolderIssue[] {
  const rank = { test: 0, validation: 1, train: 2 } as Readonly<Record<string, number>>;
  const order = [...images].sort((a, b) => rank[a.split]! - rank[b.split]!); // stable
  const where = (image: Seen, other: Seen): string =>
    `of ${other.file}` +
    (other.split === image.split ? "" : `, which is in ${other.split}`) +
    (other.class === image.class ? "" : `, under another class`);
  const firsts = new Map<string, Seen>();
  const found: FolderIssue[] = [];
  for (const image of order) {
    const first = firsts.get(image.sha256);
    if (!first) firsts.set(image.sha256, image);
    else {
      // Of two training images of two classes one label is wrong, and it is unknown which.
      const exclude = image.split === "train" && (first.split !== "train" || first.class === image.class);
      found.push(issue("exact copy", image, where(image, first), { other: first.file, exclude }));
    }
  }
  for (const [other, image] of nearPairs([...firsts.values()])) {
    found.push(issue("near copy", image, where(image, other), { other: other.file }));
  }
  return found;
}

/** Each image with the first one before it that looks alike. */
function nearPairs(images: readonly Seen[]): [earlier: Seen, later: Seen][] {
  const pairs: [Seen, Seen][] = [];
  if (images.length > allPairs) {
    const firsts = new Map<string, Seen>();
    for (const image of images) {
      const key = image.measures.hash.join();
      const first = firsts.get(key);
      if (first) pairs.push([first, image]);
      else firsts.set(key, image);
    }
    return pairs;
  }
  const high = Int32Array.from(images, ({ measures }) => measures.hash[0]);
  const low = Int32Array.from(images, ({ measures }) => measures.hash[1]);
  for (let later = 1; later < images.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      const bits = bitsOf(high[later]! ^ high[earlier]!) + bitsOf(low[later]! ^ low[earlier]!);
      if (bits > thresholds.bits) continue;
      pairs.push([images[earlier]!, images[later]!]);
      break;
    }
  }
  return pairs;
}

/** How many bits of 32 are set (Warren, Hacker's Delight, figure 5-2). */
function bitsOf(value: number): number {
  let x = value - ((value >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** @param image a small copy, its sides in proportion */
export function measure(image: Image): Measures {
  const { pixels, height, width } = image;
  const bright = new Float64Array(height * width);
  const grey = new Float64Array(height * width);
  for (let at = 0; at < bright.length; at++) {
    const [red, green, blue] = [pixels[3 * at]!, pixels[3 * at + 1]!, pixels[3 * at + 2]!];
    bright[at] = Math.sqrt(0.241 * red ** 2 + 0.691 * green ** 2 + 0.068 * blue ** 2) / 255;
    grey[at] = 0.299 * red + 0.587 * green + 0.114 * blue;
  }
  bright.sort();
  return {
    low: quantile(bright, 0.05),
    high: quantile(bright, 0.99),
    sharpness: laplacianVariance(grey, height, width) / Math.max(1, varianceOf(grey)),
    hash: perceptualHash(image),
  };
}

function varianceOf(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}

function laplacianVariance(grey: Float64Array, height: number, width: number): number {
  let [count, sum, squares] = [0, 0, 0];
  for (let y = 1; y + 1 < height; y++) {
    for (let x = 1; x + 1 < width; x++) {
      const at = y * width + x;
      const value = grey[at - 1]! + grey[at + 1]! + grey[at - width]! + grey[at + width]! - 4 * grey[at]!;
      count++;
      sum += value;
      squares += value ** 2;
    }
  }
  return count === 0 ? Number.POSITIVE_INFINITY : squares / count - (sum / count) ** 2;
}

/**
 * pHash (Zauner 2010): which of the 8 × 8 lowest frequencies of the cosine transform of 32 × 32 grey pixels are above their
 * median.
 */
export function perceptualHash(image: Image): [number, number] {
  const whole = { top: 0, left: 0, height: image.height, width: image.width };
  const { pixels } = resizeRegion(image, whole, { height: 32, width: 32 });
  const rows = new Float64Array(8 * 32); // [frequency across, y]
  for (let u = 0; u < 8; u++) {
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        const at = 3 * (32 * y + x);
        const grey = 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
        rows[u * 32 + y]! += grey * cosines[u * 32 + x]!;
      }
    }
  }
  const found = new Float64Array(64);
  for (let v = 0; v < 8; v++) {
    for (let u = 0; u < 8; u++) {
      for (let y = 0; y < 32; y++) found[v * 8 + u]! += rows[u * 32 + y]! * cosines[v * 32 + y]!;
    }
  }
  const median = quantile(found.slice().sort(), 0.5);
  const half = (from: number): number =>
    found.subarray(from, from + 32).reduce((bits, value, at) => (value > median ? bits | (1 << at) : bits), 0);
  return [half(0), half(32)];
}

/** cos(π u (2 x + 1) / 64), [8, 32] */
const cosines = Float64Array.from({ length: 8 * 32 }, (_, at) =>
  Math.cos((Math.PI * Math.floor(at / 32) * (2 * (at % 32) + 1)) / 64),
);

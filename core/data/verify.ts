/** `trainer data verify`: reads every image of a data set and reports what is in it. */

import { createHash } from "node:crypto";
import { TrainerError } from "../errors.js";
import { type Given, makePart } from "../parts.js";
import type { Data, DataSource, LoadContext, Split } from "./dataset.js";
import { checkData } from "./load.js";

/** How many of a kind are listed by name; the counts are of all. */
const listed = 20;
/** Images in memory at a time. */
const chunk = 256;

export interface SplitReport {
  readonly images: number;
  /** Images of each class, in the order of the classes. */
  readonly counts: readonly number[];
  /** Messages about images that cannot be read. */
  readonly damaged: readonly string[];
  readonly damagedCount: number;
  /** Images with the same pixels as an earlier one of this split. */
  readonly repeatedCount: number;
}

/** Two images with the same pixels, one in each split. */
export interface SharedImage {
  readonly train: string;
  readonly test: string;
  readonly sameLabel: boolean;
}

/** Plain JSON. */
export interface VerifyReport {
  readonly source: string;
  readonly fingerprint: string;
  readonly classes: readonly string[];
  readonly height: number;
  readonly width: number;
  /** Validation images of the data set's own included. */
  readonly train: SplitReport;
  /** How many of the training split's images are the data set's own validation images. */
  readonly validation?: number;
  readonly test?: SplitReport;
  readonly shared: readonly SharedImage[];
  readonly sharedCount: number;
  /** Of the training pixels, R G B, in [0, 1]. */
  readonly measured: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  /** What the data set states and the loader normalises with. */
  readonly stated: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  /** False if an image is damaged or a class has no training image. */
  readonly clean: boolean;
  readonly seconds: number;
}

/**
 * Loads a data set with all its checks, then reads every image of both splits.
 *
 * @throws TrainerError what `load` throws: files that are missing or contradict themselves cannot be verified
 * further
 */
export async function verifyData(given: Given<DataSource>, context: LoadContext = {}): Promise<VerifyReport> {
  const begin = performance.now();
  const source = makePart(given);
  const data = await source.load(context);
  checkData(data, source.name);
  const train = await readAll(data.train, data);
  const test = data.test && (await readAll(data.test, data));
  const shared = data.test && test ? sharedImages(data.train, train.places, data.test, test.places) : [];
  const { mean, deviation } = data;
  return {
    source: source.name,
    fingerprint: data.fingerprint,
    classes: data.classes,
    height: data.height,
    width: data.width,
    train: train.report,
    ...(data.validation && { validation: data.validation.length }),
    ...(test && { test: test.report }),
    shared: shared.slice(0, listed),
    sharedCount: shared.length,
    measured: statistics(train.histogram),
    stated: { mean, deviation },
    clean:
      train.report.damagedCount + (test?.report.damagedCount ?? 0) === 0 &&
      train.report.counts.every((count) => count > 0),
    seconds: (performance.now() - begin) / 1000,
  };
}

interface Reading {
  readonly report: SplitReport;
  /** Hash of the pixels -> the first place with them. */
  readonly places: ReadonlyMap<string, number>;
  /** [3, 256] */
  readonly histogram: Float64Array;
}

async function readAll(split: Split, { classes }: Data): Promise<Reading> {
  const places = new Map<string, number>();
  const histogram = new Float64Array(3 * 256);
  const damaged: string[] = [];
  let repeatedCount = 0;
  for (let start = 0; start < split.length; start += chunk) {
    const indices = Array.from({ length: Math.min(chunk, split.length - start) }, (_, at) => start + at);
    for (const { index, pixels } of await readSome(split, indices, damaged)) {
      for (let at = 0; at < pixels.length; at++) histogram[(at % 3) * 256 + pixels[at]!]!++;
      const hash = createHash("sha256").update(pixels).digest("base64");
      if (places.has(hash)) repeatedCount++;
      else places.set(hash, index);
    }
  }
  const counts = new Array<number>(classes.length).fill(0);
  split.labels.forEach((label) => counts[label]!++);
  const report = {
    images: split.length,
    counts,
    damaged: damaged.slice(0, listed),
    damagedCount: damaged.length,
    repeatedCount,
  };
  return { report, places, histogram };
}

/** The images that can be read; the messages of the others go to `damaged`, one an image. */
async function readSome(
  split: Split,
  indices: readonly number[],
  damaged: string[],
): Promise<{ index: number; pixels: Uint8Array }[]> {
  try {
    const images = await split.read(indices);
    return images.map(({ pixels }, at) => ({ index: indices[at]!, pixels }));
  } catch (error) {
    if (!(error instanceof TrainerError) || error.code !== "ERR_DATA") throw error;
    if (indices.length === 1) {
      damaged.push(error.message);
      return [];
    }
    const readable = [];
    for (const index of indices) readable.push(...(await readSome(split, [index], damaged)));
    return readable;
  }
}

function sharedImages(
  train: Split,
  trainPlaces: ReadonlyMap<string, number>,
  test: Split,
  testPlaces: ReadonlyMap<string, number>,
): SharedImage[] {
  const shared: SharedImage[] = [];
  for (const [hash, inTest] of testPlaces) {
    const inTrain = trainPlaces.get(hash);
    if (inTrain === undefined) continue;
    const sameLabel = train.labels[inTrain] === test.labels[inTest];
    shared.push({ train: train.describe(inTrain), test: test.describe(inTest), sameLabel });
  }
  return shared;
}

/** Mean and deviation of each channel from its histogram: exact, in any order of reading. */
function statistics(histogram: Float64Array): VerifyReport["measured"] {
  const channels = [0, 1, 2].map((channel) => {
    const counts = histogram.subarray(channel * 256, (channel + 1) * 256);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const moment = (power: number): number =>
      counts.reduce((sum, count, value) => sum + count * (value / 255) ** power, 0) / total;
    const mean = moment(1);
    return { mean, deviation: Math.sqrt(Math.max(0, moment(2) - mean ** 2)) };
  });
  return { mean: channels.map(({ mean }) => mean), deviation: channels.map(({ deviation }) => deviation) };
}

/** The report for people. */
export function formatVerify(report: VerifyReport): string {
  const { classes, train, test, shared, sharedCount, measured, stated } = report;
  const triple = (values: readonly number[]): string => values.map((value) => value.toFixed(4)).join(" ");
  const lines = [
    `${report.source}: ${classes.length} classes, images of ${report.height} x ${report.width}, ` +
      `read in ${report.seconds.toFixed(1)} s`,
    `fingerprint ${report.fingerprint}`,
    ...splitLines("train", train, classes),
    ...(report.validation ? [`       ${report.validation} of these are the validation images`] : []),
    ...(test ? splitLines("test", test, classes) : ["test   none"]),
    `channel mean       measured ${triple(measured.mean)}   stated ${triple(stated.mean)}`,
    `channel deviation  measured ${triple(measured.deviation)}   stated ${triple(stated.deviation)}`,
  ];
  if (sharedCount) {
    lines.push(`${sharedCount} test images are also in the training split:`);
    lines.push(
      ...shared.map((pair) => `  ${pair.test} = ${pair.train}${pair.sameLabel ? "" : ", with another label"}`),
    );
    if (sharedCount > shared.length) lines.push(`  … and ${sharedCount - shared.length} more`);
  }
  lines.push(report.clean ? "Every image can be read, and every class has some." : "There are problems, see above.");
  return lines.join("\n");
}

function splitLines(name: string, split: SplitReport, classes: readonly string[]): string[] {
  const least = Math.min(...split.counts);
  const most = Math.max(...split.counts);
  const lines = [
    `${name.padEnd(6)} ${split.images} images, ${least === most ? least : `${least} to ${most}`} per class`,
  ];
  const missing = classes.filter((_, label) => split.counts[label] === 0);
  if (missing.length)
    lines.push(`       no image of ${missing.slice(0, listed).join(", ")}${missing.length > listed ? ", …" : ""}`);
  if (split.repeatedCount) lines.push(`       ${split.repeatedCount} repeat an earlier image of the split`);
  if (split.damagedCount) {
    lines.push(
      `       ${split.damagedCount} cannot be read:`,
      ...split.damaged.map((message) => `         ${message}`),
    );
  }
  return lines;
}

/** Loading a data set of any origin: what it states about itself is checked before a run believes it. */
import { TrainerError } from "../errors.js";
import { show } from "../options.js";
import type { Data, DataSource, Image, LoadContext, Split } from "./dataset.js";

/**
 * Loads a data set, checks what `checkData` checks, and reads the first image of each split.
 *
 * @throws TrainerError what `load` throws; ERR_DATA for data that contradicts itself
 */
export async function loadData(source: DataSource, context: LoadContext = {}): Promise<Data> {
  const data = await source.load(context);
  checkData(data, source.name);
  await checkFirstImages(data, source.name);
  if (data.test?.length !== 0) return data;
  context.warn?.(`Data "${source.name}": the test split has no image. The run ends without test figures.`);
  return { ...data, test: undefined };
}

/**
 * Checks what a data set states: classes, sizes, statistics and labels.
 *
 * Labels of 1 … K instead of 0 … K - 1 would otherwise be looked up in a neighbour's row of the one-hot table.
 *
 * @param name the data source's, for messages
 * @throws TrainerError ERR_DATA with the field, what was expected and what came
 */
export function checkData(data: Data, name: string): void {
  const { classes, height, width, fingerprint } = data;
  const fail = failing(name);
  if (!Array.isArray(classes) || classes.length < 2) fail("classes", "the names of two classes or more", show(classes));
  const odd = classes.findIndex((each) => typeof each !== "string" || each === "");
  if (odd >= 0) fail(`classes[${odd}]`, "a name", show(classes[odd]));
  const twice = classes.find((each, at) => classes.indexOf(each) !== at);
  if (twice !== undefined) fail("classes", "different names", `${show(twice)} twice`);
  for (const [side, value] of Object.entries({ height, width })) {
    if (!Number.isInteger(value) || value < 1) fail(side, "a whole number of pixels from 1", show(value));
  }
  for (const field of ["mean", "deviation"] as const) {
    const least = field === "mean" ? Number.NEGATIVE_INFINITY : 0;
    const values: unknown = data[field];
    const fits = (value: unknown): boolean => Number.isFinite(value) && (value as number) > least;
    if (!Array.isArray(values) || values.length !== 3 || !values.every(fits)) {
      fail(field, `three finite numbers${field === "mean" ? "" : " above 0"}, for R, G and B`, show(values));
    }
  }
  if (typeof fingerprint !== "string" || fingerprint === "") {
    fail("fingerprint", "text that changes with the content", show(fingerprint));
  }
  const { validation } = data;
  if (validation !== undefined) {
    const fits = validation.every(
      (place, at) => place >= 0 && place < data.train.length && !(validation[at - 1]! >= place),
    );
    const some = validation.length > 0 && validation.length < data.train.length;
    if (!fits || !some) fail("validation", "some places in train, ascending, and not all", show([...validation]));
  }
  for (const split of ["train", "test"] as const) {
    if (data[split] === undefined && split === "test") continue;
    checkLabels(data[split]!, classes, (field, ...rest) => fail(`${split}.${field}`, ...rest));
    if (split === "train" && data.train.length === 0) fail("train.length", "an image or more", "0");
  }
}

async function checkFirstImages(data: Data, name: string): Promise<void> {
  const fail = failing(name);
  for (const split of ["train", "test"] as const) {
    if (data[split] === undefined || data[split].length === 0) continue;
    await checkFirst(data[split], data, (...rest) => fail(`${split}.read([0])`, ...rest));
  }
}

type Fail = (field: string, expected: string, found: string, advice?: string) => never;

function failing(name: string): Fail {
  return (field, expected, found, advice = "") => {
    throw new TrainerError("ERR_DATA", `Data "${name}", ${field}: expected ${expected}, got ${found}.${advice}`);
  };
}

function checkLabels(split: Split, classes: readonly string[], fail: Fail): void {
  const { length, labels } = split;
  if (!Number.isInteger(length) || length < 0) fail("length", "a whole number from 0", show(length));
  const count: unknown = labels?.length;
  if (count !== length) fail("labels", `${length} labels, one for each image`, `${show(count)} of them`);
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let wrong = -1;
  for (let at = 0; at < length; at++) {
    const label = labels[at]!;
    least = Math.min(least, label);
    most = Math.max(most, label);
    if (wrong < 0 && !(Number.isInteger(label) && label >= 0 && label < classes.length)) wrong = at;
  }
  if (wrong < 0) return;
  fail(
    `labels[${wrong}]`,
    `a whole number from 0 to ${classes.length - 1}, a place in classes`,
    `${show(labels[wrong])} for ${split.describe(wrong)}`,
    least === 1 && most === classes.length ? " The labels count from 1: subtract 1 from each." : "",
  );
}

async function checkFirst(
  split: Split,
  { height, width }: Data,
  fail: (expected: string, found: string) => never,
): Promise<void> {
  const images: unknown = await split.read([0]);
  const bytes = height * width * 3;
  const expected = `one image of ${height} × ${width} in ${bytes} unsigned bytes`;
  if (!Array.isArray(images) || images.length !== 1) return fail(expected, show(images));
  const image = images[0] as Partial<Image> | undefined;
  if (!(image?.pixels instanceof Uint8Array)) return fail(expected, `pixels that are ${show(image?.pixels)}`);
  if (image.height === height && image.width === width && image.pixels.length === bytes) return;
  fail(
    expected,
    `${show(image.height)} × ${show(image.width)} in ${image.pixels.length} bytes for ${split.describe(0)}`,
  );
}

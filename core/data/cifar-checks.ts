/** What must hold between the records of a CIFAR set, beyond each of them. */

import { TrainerError } from "../errors.js";
import type { Layout } from "./cifar-files.js";

/** Images in the official splits; every class has the same number. */
export const official = { train: 50_000, test: 10_000 };

/** The class names in a text file: `expected` different ones, a line each. */
export function readNames(file: string, bytes: Uint8Array, expected: number): string[] {
  const names = new TextDecoder()
    .decode(bytes)
    .split(/\r?\n/)
    .filter((line) => line !== "");
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (names.length === expected && twice === undefined) return names;
  const found = twice === undefined ? `${names.length} names` : `the name ${JSON.stringify(twice)} twice`;
  throw new TrainerError("ERR_DATA", `${file} has ${found}, expected ${expected} different ones, one a line.`);
}

/**
 * Every fine class belongs to one coarse class, in all files: a shifted or swapped label byte breaks that.
 */
export function familyCheck(layout: Layout, classes: readonly string[]) {
  const family = new Map<number, { coarse: number; where: string }>();
  return (file: string, labels: readonly Uint16Array[]): void => {
    if (labels.length < 2) return;
    const [coarse, fine] = labels as [Uint16Array, Uint16Array];
    fine.forEach((label, record) => {
      const found = coarse[record]!;
      const known = family.get(label);
      if (known === undefined) {
        family.set(label, { coarse: found, where: `record ${record} of ${file}` });
      } else if (known.coarse !== found) {
        throw new TrainerError(
          "ERR_DATA",
          `${file}: record ${record} puts the fine class ${label} (${classes[label]}) into the coarse ` +
            `class ${found}, and ${known.where} into ${known.coarse}. ` +
            `A label is wrong: fetch ${layout.title} again.`,
        );
      }
    });
  };
}

/** Full-size splits have every class equally often; smaller ones are used for tests, and are reported. */
export function checkHistogram(
  layout: Layout,
  split: "train" | "test",
  path: string,
  labels: ArrayLike<number>,
  log: (line: string) => void,
): void {
  const { classes } = layout.labelBytes.at(-1)!;
  const counts = new Array<number>(classes).fill(0);
  for (let n = 0; n < labels.length; n++) counts[labels[n]!]!++;
  if (split === "train" && counts.filter((count) => count > 0).length < 2) {
    throw new TrainerError(
      "ERR_DATA",
      `${path}: expected several classes, got one class for all ${labels.length} training images.`,
    );
  }
  if (labels.length !== official[split]) {
    const range = `${Math.min(...counts)} to ${Math.max(...counts)} a class`;
    const found = `${labels.length} images (${range})`;
    log(`${layout.title} ${split}: ${found}; the official split has ${official[split]}`);
    return;
  }
  const expected = official[split] / classes;
  const wrong = counts.findIndex((count) => count !== expected);
  if (wrong >= 0) {
    throw new TrainerError(
      "ERR_DATA",
      `${path}: the ${split} split has ${counts[wrong]} images of class ${wrong}, expected ${expected} ` +
        `of each. Labels are wrong: fetch ${layout.title} again.`,
    );
  }
}

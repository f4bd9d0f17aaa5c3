/** Which data a run was made with: kept in its record, compared wherever the data is read again. */
import { z } from "zod";
import type { Data } from "../core/data/dataset.js";
import { TrainerError } from "../core/errors.js";

export const dataRecordShape = z.object({
  /** In the order of the network's outputs. */
  classes: z.array(z.string()).min(2),
  /** Hash of the contents, as the data set reports it. */
  fingerprint: z.string(),
});

export type DataRecord = z.output<typeof dataRecordShape>;

export const dataRecord = ({ classes, fingerprint }: Data): DataRecord => ({ classes: [...classes], fingerprint });

/**
 * Refuses data whose classes are not those of a run, in their order: each output of a network stands for one of them.
 *
 * @throws TrainerError ERR_DATA that names the classes that differ
 */
export function mustHaveClasses(expected: readonly string[], { classes }: Pick<Data, "classes">): void {
  const differing = expected.findIndex((name, at) => name !== classes[at]);
  if (differing < 0 && classes.length === expected.length) return;
  const missing = expected.filter((name) => !classes.includes(name));
  const added = classes.filter((name) => !expected.includes(name));
  const parts = [
    ...listed("missing", missing),
    ...listed("new", added),
    ...(missing.length + added.length === 0
      ? [`another order: class ${differing} was ${expected[differing]} and is ${classes[differing]}`]
      : []),
  ];
  throw new TrainerError(
    "ERR_DATA",
    `The data has other classes than the run: expected ${short(expected)}, got ${short(classes)} (${parts.join("; ")}). ` +
      "Restore the class names and their order, or pass the run's own data with --data.",
  );
}

const short = (names: readonly string[]): string =>
  names.length <= 6 ? names.join(", ") : `${names.length} classes (${names.slice(0, 3).join(", ")}, …)`;

function listed(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`${what}: ${names.slice(0, 10).join(", ")}${names.length > 10 ? `, and ${names.length - 10} more` : ""}`];
}

/** How data differs from a run's, classes apart: a sentence. Undefined where it does not, or the record cannot tell. */
export function dataChange(before: DataRecord | undefined, { fingerprint }: Pick<Data, "fingerprint">) {
  if (before === undefined || before.fingerprint === fingerprint) return undefined;
  return (
    "The data has changed since the run was trained: " +
    `expected the fingerprint ${shortened(before.fingerprint)}, got ${shortened(fingerprint)}. ` +
    "Images were added, removed, renamed or replaced."
  );
}

const shortened = (fingerprint: string): string =>
  fingerprint.length > 24 ? `${fingerprint.slice(0, 16)}…` : fingerprint;

/**
 * Compares data with that of the run that is resumed or repeated.
 *
 * @throws TrainerError ERR_DATA for other classes; ERR_RESUME for other images, unless they are allowed
 */
export function compareData(
  { record, allowed }: { readonly record: { readonly dataset?: DataRecord }; readonly allowed: readonly string[] },
  data: Data,
  warn: (message: string) => void,
): void {
  if (record.dataset) mustHaveClasses(record.dataset.classes, data);
  const change = dataChange(record.dataset, data);
  if (change === undefined) return;
  if (allowed.includes("data")) return warn(`${change} This is allowed by --allow-change data.`);
  throw new TrainerError(
    "ERR_RESUME",
    `${change} Images that were trained on may now be validation images. ` +
      "Restore the data, or allow it with --allow-change data.",
  );
}

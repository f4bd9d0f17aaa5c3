/** Names in `checkpoints`: complete ones name their place in the run, temporary ones the process that writes them. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { TrainerError } from "../core/errors.js";

/** Where in a run a checkpoint was taken. */
export interface Place {
  /** Optimizer steps done. */
  readonly step: number;
  /** Orders those of one step, where a run stops within one. Default 0. */
  readonly part?: number;
}

export const comparePlaces = (a: Place, b: Place): number => a.step - b.step || (a.part ?? 0) - (b.part ?? 0);

/**
 * `step-00001234`, or `step-00001234.2` for part 2. From 10^8 on longer.
 *
 * @throws TrainerError ERR_INTERNAL for what is no whole number from 0
 */
export function placeName({ step, part = 0 }: Place): string {
  for (const number of [step, part]) {
    if (Number.isSafeInteger(number) && number >= 0) continue;
    throw new TrainerError("ERR_INTERNAL", `A checkpoint's position: expected whole numbers, got ${number}.`);
  }
  return `step-${String(step).padStart(8, "0")}${part === 0 ? "" : `.${part}`}`;
}

/** The place of a folder's name; undefined for a name that `placeName` does not make. */
export function namedPlace(name: string): Required<Place> | undefined {
  const [, step, part = "0"] = /^step-(\d{8,16})(?:\.(\d{1,16}))?$/.exec(name) ?? [];
  if (step === undefined) return undefined;
  const place = { step: Number(step), part: Number(part) };
  const safe = Number.isSafeInteger(place.step) && Number.isSafeInteger(place.part);
  return safe && placeName(place) === name ? place : undefined;
}

/** `.tmp-<step>-<pid>-<nonce>` in the folder, another at each call. */
export const temporaryPath = (folder: string, step: number): string =>
  join(folder, `.tmp-${step}-${process.pid}-${randomBytes(6).toString("hex")}`);

/** Whether `temporaryPath` makes such names. */
export const isTemporary = (name: string): boolean => /^\.tmp-\d+-\d+-[0-9a-f]{12}$/.test(name);

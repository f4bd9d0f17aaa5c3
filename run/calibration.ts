/** The temperature of a run, fitted on its validation images: `calibration.json`, beside the weights that it is of. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../core/files.js";
import { readCheckedJson, toCheckedJson } from "./checked-json.js";
import { mustHoldNoLinks } from "./folder.js";

export const calibrationFile = "calibration.json";

const shape = z.looseObject({
  /** Probabilities are p^(1/temperature), normalised. */
  temperature: z.number().positive(),
  split: z.literal("validation"),
  images: z.int().positive(),
  /** SHA-256 of `weights.safetensors`. */
  weights: z.string(),
});

export type Calibration = z.output<typeof shape>;

/** Figures on the validation images before and after. */
export interface CalibrationResult {
  readonly temperature: number;
  readonly images: number;
  readonly before: { readonly loss: number; readonly ece: number };
  readonly after: { readonly loss: number; readonly ece: number };
}

/** Of `weights.safetensors`, as hex. */
export const hashOf = (weights: Uint8Array): string => createHash("sha256").update(weights).digest("hex");

/** @throws TrainerError ERR_OUTPUT for a run's folder with links; ERR_IO */
export function writeCalibration(folder: string, calibration: Calibration): void {
  mustHoldNoLinks(folder);
  writeFileAtomic(join(folder, calibrationFile), toCheckedJson(calibration));
}

/**
 * A run's calibration; undefined where it has none, or one of other weights: a run that was resumed.
 *
 * @throws TrainerError ERR_DATA for a file that is damaged
 */
export function readCalibration(folder: string, weights: Uint8Array): Calibration | undefined {
  const path = join(folder, calibrationFile);
  if (!existsSync(path)) return undefined;
  const calibration = readCheckedJson(path, shape);
  return calibration.weights === hashOf(weights) ? calibration : undefined;
}

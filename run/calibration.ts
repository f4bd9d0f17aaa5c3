/** The temperature of a run, fitted on its validation images: `calibration.json`, beside the weights that it is of. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";

export const calibrationFile = "calibration.json";

const shape = z.strictObject({
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

/** Of `weights.safetensors`. */
export const hashOf = (weights: Uint8Array): string => createHash("sha256").update(weights).digest("hex");

export function writeCalibration(folder: string, calibration: Calibration): void {
  writeFileAtomic(join(folder, calibrationFile), `${JSON.stringify(calibration, undefined, 2)}\n`);
}

/**
 * A run's calibration; undefined where it has none, or one of other weights: a run that was resumed.
 *
 * @throws TrainerError ERR_DATA for a file that is damaged
 */
export function readCalibration(folder: string, weights: Uint8Array): Calibration | undefined {
  const path = join(folder, calibrationFile);
  if (!existsSync(path)) return undefined;
  try {
    const calibration = shape.parse(JSON.parse(readFileSync(path, "utf8")));
    return calibration.weights === hashOf(weights) ? calibration : undefined;
  } catch (cause) {
    throw new TrainerError(
      "ERR_DATA",
      `${path} is damaged. Remove it, or write it again with trainer evaluate ${folder} --calibrate.`,
      { cause },
    );
  }
}

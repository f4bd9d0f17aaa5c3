/** Fits a run's temperature on its validation images, and writes it. */
import { bestTemperature } from "../core/interpret/temperature.js";
import { type CalibrationResult, hashOf, writeCalibration } from "./calibration.js";
import { calibratedFigures, outputsOf } from "./evaluate.js";
import type { RunWithData } from "./run-data.js";

/** @throws TrainerError ERR_DATA where the run has no validation images, or no temperature fits them */
export async function calibrate(
  files: RunWithData & { readonly folder: string },
  log?: (line: string) => void,
): Promise<CalibrationResult> {
  const { outputs, classes } = await outputsOf(files, "validation", log);
  const temperature = bestTemperature(outputs, classes.length);
  const images = outputs.labels.length;
  writeCalibration(files.folder, { temperature, split: "validation", images, weights: hashOf(files.weights) });
  const { temperature: _, ...before } = calibratedFigures(outputs, classes.length, 1);
  const { temperature: __, ...after } = calibratedFigures(outputs, classes.length, temperature);
  return { temperature, images, before, after };
}

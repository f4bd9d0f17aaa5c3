/** The data of a finished run, read again and compared with what the run was trained on. */
import { existsSync } from "node:fs";
import { TrainerError } from "../core/errors.js";
import type { Session } from "../core/loop/session.js";
import type { Trainer } from "../core/loop/trainer.js";
import { dataChange, mustHaveClasses } from "./data-record.js";
import type { RunConfigRecord } from "./files.js";
import { readPreprocessing } from "./preprocessing.js";

/** What reading a run's data needs of its folder. */
export interface RunWithData {
  readonly record: RunConfigRecord;
  readonly trainer: Trainer;
  readonly weights: Uint8Array;
  readonly weightsPath: string;
}

export interface RunData {
  readonly session: Session;
  /** Whether the images are others than the run was trained with; then the run's events have a warning. */
  readonly dataChanged: boolean;
}

/**
 * @param log receives lines for people
 * @throws TrainerError ERR_DATA for data that cannot be read, or has other classes
 */
export async function readRunData(run: RunWithData, log?: (line: string) => void): Promise<RunData> {
  const { record, trainer, weights, weightsPath } = run;
  const session = await prepared(trainer, log);
  mustHaveClasses(readPreprocessing(weights, weightsPath).classes, session.data);
  const change = dataChange(record.dataset, session.data);
  if (change === undefined) return { session, dataChanged: false };
  trainer.events.emit("warning", { message: `${change} These figures are for the images as they are now.` });
  return { session, dataChanged: true };
}

async function prepared(trainer: Trainer, log?: (line: string) => void): Promise<Session> {
  try {
    return await trainer.prepare(log);
  } catch (cause) {
    const { path } = trainer.config.data.options;
    const isGone = typeof path === "string" && !existsSync(path);
    if (!isGone || !(cause instanceof TrainerError) || cause.code !== "ERR_DATA") throw cause;
    const advice = "If the run's data has moved, say where it is: --data PATH, or openRun(folder, { data }) from code.";
    throw new TrainerError(cause.code, `${cause.message} ${advice}`, { cause });
  }
}

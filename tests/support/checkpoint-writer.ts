/**
 * A process that saves step 3 and removes step 1, for tests that kill it or make its calls fail. It says
 * when it is ready, and waits to be told to go, so that what is done to it hits nothing but that.
 *
 * Exits 0 when all is done, 74 when the disk would not.
 */
import { readSync, writeSync } from "node:fs";
import { TrainerError } from "../../core/errors.js";
import { saveCheckpoint } from "../../run/checkpoints.js";
import { pruneCheckpoints, removeLeftovers } from "../../run/retention.js";
import { sampleCheckpoint } from "./sample-checkpoint.js";

const [folder, numbers] = process.argv.slice(2) as [string, string];
const checkpoint = sampleCheckpoint(3, { numbers: Number(numbers) });
writeSync(1, "ready\n");
readSync(0, new Uint8Array(1));
try {
  removeLeftovers(folder);
  saveCheckpoint(folder, checkpoint);
  pruneCheckpoints(folder, { keep: 2 });
} catch (error) {
  if (!(error instanceof TrainerError)) throw error;
  writeSync(2, error.message);
  process.exitCode = error.exitCode;
}

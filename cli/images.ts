/** Image files that a command is given. */
import { existsSync } from "node:fs";
import { TrainerError } from "../core/errors.js";

/** @throws TrainerError ERR_DATA naming every file that is not there */
export function mustExist(files: readonly string[]): void {
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length > 0) throw new TrainerError("ERR_DATA", `No such image: ${missing.join(", ")}.`);
}

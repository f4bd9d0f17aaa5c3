/** Files and folders that a command is asked to write. */
import { TrainerError } from "../core/errors.js";

/**
 * Does what writes to `path`, which an option names.
 *
 * @throws TrainerError ERR_OUTPUT for what the system refuses
 */
export function writing<T>(path: string, write: () => T, option = "--out"): T {
  try {
    return write();
  } catch (cause) {
    const { code, syscall, message } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    const taken = code === "EEXIST" && syscall === "open";
    const problem = taken ? "is there already. Name another" : `cannot be written: ${message}. Name another place`;
    throw new TrainerError("ERR_OUTPUT", `${path} ${problem} with ${option}.`, { cause });
  }
}

/** Files and folders that the user names for output. */
import { TrainerError } from "../core/errors.js";

/**
 * Runs `write`, which writes to `path`.
 *
 * @param option the option that names the path, for the message
 * @throws TrainerError ERR_OUTPUT where the system refuses
 */
export function writing<T>(path: string, write: () => T, option = "--out"): T {
  try {
    return write();
  } catch (cause) {
    const { code, syscall, message } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    const exists = code === "EEXIST" && syscall === "open";
    const problem = exists ? "already exists" : `cannot be written: ${message}`;
    throw new TrainerError("ERR_OUTPUT", `${path} ${problem}. Choose another path with ${option}.`, { cause });
  }
}

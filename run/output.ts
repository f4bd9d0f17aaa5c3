/** Files and folders that the user names for output. */
import { TrainerError } from "../core/errors.js";

/**
 * Runs `write`, which writes to `path`. It gets the advice that ends an error of its own.
 *
 * @param option the option that names the path, for the message
 * @throws TrainerError ERR_OUTPUT where the system refuses
 */
export function writing<T>(path: string, write: (advice: string) => T, option = "--out"): T {
  const advice = `Choose another path with ${option}.`;
  try {
    return write(advice);
  } catch (cause) {
    if (cause instanceof TrainerError) {
      throw cause.code === "ERR_IO" ? new TrainerError("ERR_OUTPUT", cause.message, { cause: cause.cause }) : cause;
    }
    const { code, syscall, message } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    const exists = code === "EEXIST" && syscall === "open";
    const problem = exists ? "already exists" : `cannot be written: ${message}`;
    throw new TrainerError("ERR_OUTPUT", `${path} ${problem}. ${advice}`, { cause });
  }
}

/** The folder that all projects of a user share: built backends, data sets, weights, the origins of runs. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { TrainerError } from "./errors.js";

/**
 * `$FITLOOP_CACHE`, else `$XDG_CACHE_HOME/fitloop`, else `~/.cache/fitloop`. Always absolute: the freedesktop
 * specification has a relative `$XDG_CACHE_HOME` ignored.
 *
 * @throws TrainerError ERR_OUTPUT for a user without a home folder
 */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env.FITLOOP_CACHE) return resolve(env.FITLOOP_CACHE);
  const { XDG_CACHE_HOME: shared = "" } = env;
  return join(isAbsolute(shared) ? shared : join(home(), ".cache"), "fitloop");
}

function home(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new TrainerError(
      "ERR_OUTPUT",
      "This user has no home folder. Name a folder for the cache in FITLOOP_CACHE.",
      { cause },
    );
  }
}

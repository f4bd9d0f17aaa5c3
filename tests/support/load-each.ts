/**
 * Loads each config named on the command line as the command line does, in a process without a test runner's
 * module loader, and prints a JSON line for each: what came, and whether it saw our instances of the package
 * and of tf.js.
 */
import * as tf from "@tensorflow/tfjs-core";
import { loadConfig } from "../../core/config/load.js";
import { TrainerError } from "../../core/index.js";

type Seen = { TrainerError: unknown; engine: unknown } | undefined;
const shared = globalThis as { seen?: Seen };
for (const path of process.argv.slice(2)) {
  shared.seen = undefined;
  try {
    const patience = path.includes("never") ? 1500 : 10_000;
    const { config, file } = await (path.endsWith("/")
      ? loadConfig(undefined, { from: path })
      : loadConfig(path, { patience }));
    const seen = shared.seen as Seen; // the config has set it
    const same = seen && seen.TrainerError === TrainerError && seen.engine === tf.engine();
    print({ path, file, config, same, polluted: "polluted" in {} });
  } catch (error) {
    const { code, message } = error as TrainerError;
    print({ path, code, message, ours: error instanceof TrainerError, polluted: "polluted" in {} });
  }
}
process.exit();

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

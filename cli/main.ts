/** The process of the command line. */
import { exitCodes } from "../core/errors.js";
import { runCommandLine } from "./command-line.js";
import { tell } from "./terminal.js";
import { passUncaught, reportUncaught } from "./uncaught.js";

/** Whether standard output did not take what was asked for. */
let outputLost = false;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // A reader that leaves (`trainer … | head`) has read enough, and a closed terminal ends a run by its signal.
  if (outputLost || error.code === "EPIPE" || (error.code === "EIO" && process.stdout.isTTY)) return;
  outputLost = true;
  tell(`trainer: Standard output cannot be written: ${error.message}. Make room, or redirect it to another place.`);
});
process.stderr.on("error", () => {}); // it only comments: a run continues without it
// No listener: tf.js' WebAssembly adds one of its own, which throws again.
process.setUncaughtExceptionCaptureCallback(
  (error) => void (passUncaught(error) || process.exit(reportUncaught(error))),
);

const code = await runCommandLine(process.argv.slice(2));
// Not left to the last open handle: a timer of a config or a plugin would keep a finished run alive.
// An error of the last write is an event that comes after its callback.
process.stdout.write("", () =>
  setImmediate(() => process.exit(code || process.exitCode || (outputLost ? exitCodes.io : exitCodes.done))),
);

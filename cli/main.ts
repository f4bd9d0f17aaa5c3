/** The process of the command line. */
import { runCommandLine } from "./command-line.js";
import { passUncaught, reportUncaught } from "./uncaught.js";

// A reader that goes away (`trainer … | head`) must not take the training with it, nor a terminal that is closed:
// its run has yet to keep a checkpoint.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || (error.code === "EIO" && stream.isTTY)) return;
    throw error;
  });
}
// No listener: tf.js' WebAssembly adds one of its own, which throws again.
process.setUncaughtExceptionCaptureCallback(
  (error) => void (passUncaught(error) || process.exit(reportUncaught(error))),
);

const code = await runCommandLine(process.argv.slice(2));
// Not left to the last open handle: a timer of a config or a plugin would keep a finished run alive.
process.stdout.write("", () => process.exit(code || process.exitCode));

/** The entry of the command line: every error becomes one message and one exit code. */
import { exitCodes, TrainerError } from "../errors.js";
import { createProgram } from "./program.js";
import { tell } from "./terminal.js";

/** A reader that goes away (`trainer … | head`) must not take the training with it. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong on standard error; returns the exit code. */
function report(error: unknown): number {
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown };
  // commander has written its message by itself.
  if (typeof code === "string" && code.startsWith("commander.")) return exitCode === 0 ? 0 : exitCodes.usage;
  if (error instanceof TrainerError) {
    tell(`trainer: ${error.message}`);
    const cause = rootCause(error);
    if (cause && !error.message.includes(cause.message)) tell(`  because: ${cause.message}`);
    if (error.plugin && cause?.stack) tell(cause.stack.split("\n").slice(1, 4).join("\n"));
    return error.exitCode;
  }
  tell(`trainer: unexpected ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  tell("This is a fault of fitloop. Please report it with the command and the lines above.");
  return exitCodes.plugin;
}

function rootCause(error: Error): Error | undefined {
  let cause: unknown = error.cause;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause : undefined;
}

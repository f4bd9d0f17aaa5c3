/** One command from its arguments to its exit code: every error becomes one message. */
import { exitCodes, TrainerError } from "../errors.js";
import { createProgram } from "./program.js";
import { tell } from "./terminal.js";

/** Runs a command line, without the program's own name; resolves with the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: "user" });
    return exitCodes.done;
  } catch (error) {
    return report(error);
  }
}

/** Says what went wrong on standard error; returns the exit code. */
export function report(error: unknown): number {
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown };
  // commander has written its message by itself.
  if (typeof code === "string" && code.startsWith("commander."))
    return exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof TrainerError) {
    tell(`trainer: ${error.message}`);
    const cause = rootCause(error);
    if (cause && !error.message.includes(cause.message)) tell(`  because: ${cause.message}`);
    // Somebody's plugin: its author wants the place. Our own refusals say all they know in the message.
    if (error.code === "ERR_PLUGIN" && cause?.stack && !(cause instanceof TrainerError)) {
      const places = cause.stack.split("\n").filter((line) => /^\s+at /.test(line));
      tell(places.slice(0, 3).join("\n"));
    }
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

/** Runs one command line: every error becomes one message and an exit code. */
import { exitCodes, TrainerError } from "../core/errors.js";
import { createProgram } from "./program.js";
import { tell } from "./terminal.js";
import { tellPlaces } from "./uncaught.js";

/** @param args without the program's name. Resolves with the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: "user" });
    return exitCodes.done;
  } catch (error) {
    return report(error);
  }
}

/** Writes an error to standard error. Returns the exit code. */
export function report(error: unknown): number {
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown };
  // commander has already written its message.
  if (typeof code === "string" && code.startsWith("commander."))
    return exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof TrainerError) {
    tell(`trainer: ${error.message}`);
    const causes = causesOf(error);
    const root = causes.at(-1);
    if (root && !causes.some((cause) => mentions(error.message, cause))) tell(`  because: ${root.message}`);
    // The author of a plugin needs the place. Our own errors say everything in the message.
    if (error.code === "ERR_PLUGIN" && root && !(root instanceof TrainerError)) tellPlaces(root);
    return error.exitCode;
  }
  tell(`trainer: unexpected ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  tell("This is a bug in fitloop. Please report it with your command and the lines above.");
  return exitCodes.plugin;
}

/** The causes of an error, the root cause last. */
function causesOf(error: Error): Error[] {
  return error.cause instanceof Error ? [error.cause, ...causesOf(error.cause)] : [];
}

/** Whether a message already contains its cause: its text, or its system error code. */
function mentions(message: string, cause: Error): boolean {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  return message.includes(cause.message.replace(/\.$/, "")) || (!!code && !!syscall && message.includes(code));
}

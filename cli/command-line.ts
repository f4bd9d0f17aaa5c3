/** One command from its arguments to its exit code: every error becomes one message. */
import { exitCodes, TrainerError } from "../core/errors.js";
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
    const causes = causesOf(error);
    const root = causes.at(-1);
    if (root && !causes.some((cause) => says(error.message, cause))) tell(`  because: ${root.message}`);
    // Somebody's plugin: its author wants the place. Our own refusals say all they know in the message.
    if (error.code === "ERR_PLUGIN" && root && !(root instanceof TrainerError)) tellPlaces(root);
    return error.exitCode;
  }
  tell(`trainer: unexpected ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  tell("This is a fault of fitloop. Please report it with the command and the lines above.");
  return exitCodes.plugin;
}

/**
 * Says that something failed which nobody waits for: a timer, a listener or a promise of a config or a plugin.
 * Returns the exit code, since the process cannot know what state that left behind.
 */
export function reportStray(error: unknown): number {
  const message = error instanceof Error ? error.message || error.name : String(error);
  tell(`trainer: an error nobody waited for: ${message}`);
  if (error instanceof Error) tellPlaces(error);
  return exitCodes.plugin;
}

/** The first places of an error's stack. */
function tellPlaces({ stack = "" }: Error): void {
  const places = stack.split("\n").filter((line) => /^\s+at /.test(line));
  if (places.length > 0) tell(places.slice(0, 3).join("\n"));
}

/** The errors behind an error, the first cause last. */
function causesOf(error: Error): Error[] {
  return error.cause instanceof Error ? [error.cause, ...causesOf(error.cause)] : [];
}

/** Whether a message tells already what its cause does: in its words, or by the system's code. */
function says(message: string, cause: Error): boolean {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  return message.includes(cause.message.replace(/\.$/, "")) || (!!code && !!syscall && message.includes(code));
}

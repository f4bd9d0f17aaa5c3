/** Uncaught errors: of a timer, a listener or a promise of a config or a plugin. */
import { sep } from "node:path";
import { fileURLToPath } from "node:url";
import { exitCodes } from "../core/errors.js";
import { tell } from "./terminal.js";

type Handler = (error: unknown) => void;
let handler: Handler | undefined;

/** Passes uncaught errors to `handle`, which ends the work in progress, until `stop`. */
export function handleUncaught(handle: Handler): { stop(): void } {
  handler = handle;
  return { stop: () => void (handler = undefined) };
}

/** Passes an error to the handler. Returns false where there is none. */
export function passUncaught(error: unknown): boolean {
  handler?.(error);
  return handler !== undefined;
}

/**
 * Writes an uncaught error, from a timer, a listener or a promise of a config or a plugin. Returns the exit code: the
 * process must end, since its state is unknown.
 */
export function reportUncaught(error: unknown): number {
  const message = error instanceof Error ? error.message || error.name : String(error);
  tell(`trainer: uncaught error: ${message}`);
  if (error instanceof Error) tellPlaces(error);
  return exitCodes.plugin;
}

/** The first lines of an error's stack that are not fitloop's own, nor of what calls a plugin for it; all where no other is. */
export function tellPlaces({ stack = "" }: Error): void {
  const places = stack.split("\n").filter((line) => /^\s+at /.test(line));
  const others = places.filter((line) => !isOwn(line));
  const shown = others.length > 0 ? others : places;
  if (shown.length > 0) tell(shown.slice(0, 3).join("\n"));
}

/** The package's folder, as stacks name it: sources in a checkout, a bundle in the published package. */
const root = fileURLToPath(new URL("..", import.meta.url));

const isOwn = (line: string): boolean =>
  /[/\\]node_modules[/\\]tapable[/\\]|\bnode:/.test(line) ||
  ["cli", "core", "dist", "run", "report"].some((folder) => line.includes(`${root}${folder}${sep}`));

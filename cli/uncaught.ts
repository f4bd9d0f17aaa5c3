/** Uncaught errors: of a timer, a listener or a promise of a config or a plugin. */

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

/** What fails where nobody waits for it: a timer, a listener or a promise of a config or a plugin. */

type Taker = (error: unknown) => void;
let taker: Taker | undefined;

/** Has errors that nobody waits for given to `take`, which ends what is under way in its own time; until `stop`. */
export function takeStrays(take: Taker): { stop(): void } {
  taker = take;
  return { stop: () => void (taker = undefined) };
}

/** Gives an error to whoever takes them; false where nobody does. */
export function giveStray(error: unknown): boolean {
  taker?.(error);
  return taker !== undefined;
}

/**
 * Parts of a config: data, model, optimizer, loss, metrics, plugins.
 *
 * A factory such as `sgd()` returns a part that nobody has checked yet: its kind, its name and its options as they were
 * written. `makePart` checks the options and makes what the loop uses. So all mistakes of all parts can be reported at once.
 */
import type { z } from "zod";
import { TrainerError } from "./errors.js";
import { parseOptions } from "./options.js";

export type PartKind = "data" | "model" | "optimizer" | "loss" | "metric" | "plugin";

/** Not a string, so that a part prints, compares and serialises as its three fields. A spread copies it. */
const make: unique symbol = Symbol("make");

/** Every part has a name, also when it is made. */
interface Named {
  readonly name: string;
}

/** What a factory returns. `Made` is what the loop uses: an `Optimizer`, a `Plugin`, … */
export interface Part<Made extends Named = Named> {
  readonly kind: PartKind;
  readonly name: string;
  /** As written: unchecked and without defaults. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly [make]: (options: unknown) => Made;
}

/** A part as a config takes it: a factory's, or written by hand. */
export type Given<Made extends Named> = Made | Part<Made>;

/** What was made of a part, so that checking a config twice costs nothing. */
const made = new WeakMap<Part, Named>();
/** The other way round: from what the loop uses to the part that it was made of. */
const madeOf = new WeakMap<Named, Part>();

/**
 * A factory of parts, which knows the schema of their options.
 *
 * @param create makes what the loop uses from options that fit `schema`, with its defaults
 */
export function partFactory<S extends z.ZodType, Made extends Named>(
  kind: PartKind,
  name: string,
  schema: S,
  create: (options: z.output<S>) => Made,
): { (options?: z.input<S>): Part<Made>; readonly schema: S } {
  const checkAndCreate = (options: unknown): Made => create(parseOptions(`${kind} "${name}"`, schema, options));
  const factory = (options?: z.input<S>): Part<Made> =>
    Object.freeze({ kind, name, options: (options ?? {}) as Part["options"], [make]: checkAndCreate });
  return Object.assign(factory, { schema });
}

/**
 * Checks a part's options and makes what the loop uses. One that is no factory's, but written by hand, is returned as it is.
 *
 * @throws TrainerError ERR_OPTION that lists every problem of the options, or for a part with another name than its factory's
 */
export function makePart<Made extends Named>(part: Given<Made>): Made {
  if (!isPart(part)) return part;
  const known = made.get(part) ?? part[make](part.options);
  if (known.name !== part.name) {
    const message = `The part "${known.name}" cannot be renamed to "${part.name}". Make one of your own with makePart.`;
    throw new TrainerError("ERR_OPTION", message);
  }
  made.set(part, known);
  madeOf.set(known, part);
  return known as Made;
}

/** Whether a part, or what was made of it, comes from the factory that returned `other`. */
export function isOfFactory(given: Given<Named>, other: Part): boolean {
  const part = isPart(given) ? given : madeOf.get(given);
  return part?.[make] === other[make];
}

/** Whether a factory returned this, or it is a copy of such a part. */
export const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null && make in value;

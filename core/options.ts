/** One way to check options everywhere: strict, all problems at once, with a suggestion for a name that is not there. */
import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { reasonOf, TrainerError } from "./errors.js";

/** Who hears of refused options while a config is made; nobody at any other time. */
let listener: ((refusal: TrainerError) => void) | undefined;

/**
 * From here on options that are refused are told to `hear` and end nothing: their part gets the defaults in the place of what is
 * wrong, so that a config's other parts are made and checked too. Whoever hears refuses the whole. Returns what ends this.
 */
export function hearRefusals(hear: (refusal: TrainerError) => void): () => void {
  listener = hear;
  return () => void (listener = undefined);
}

/**
 * Checks plain options against a strict schema and fills in defaults.
 *
 * @param where whose options these are, for the message: `plugin "cutmix"`
 * @param placeOf where a key stands, as part of a sentence: ` (line 3)`
 * @throws TrainerError ERR_OPTION that lists every problem with its path, what came, and the nearest known name
 */
export function parseOptions<S extends z.ZodType>(
  where: string,
  schema: S,
  input: unknown,
  placeOf: (key: string) => string = () => "",
): z.output<S> {
  let issues: readonly z.core.$ZodIssue[];
  let problems: string[];
  try {
    const result = schema.safeParse(input ?? {});
    if (result.success) return result.data;
    ({ issues } = result.error);
    problems = issues.flatMap((issue) => describeIssue(issue, schema, input, placeOf));
  } catch (cause) {
    // A getter that throws, say.
    throw new TrainerError("ERR_OPTION", `${capitalise(where)} cannot be read: ${reasonOf(cause).replace(/\.$/, "")}.`, { cause });
  }
  const refusal = new TrainerError("ERR_OPTION", `${capitalise(where)}: ${problems.join("; ")}.`);
  const rest = listener && schema.safeParse(withoutWrong(input, issues));
  if (!rest?.success) throw refusal; // also where an option has no default
  listener!(refusal);
  return rest.data;
}

/** The options that nothing is said against. */
function withoutWrong(input: unknown, issues: readonly z.core.$ZodIssue[]): Record<string, unknown> {
  const wrong = issues.flatMap((issue) => (issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys : issue.path.slice(0, 1)));
  return isPlain(input) ? Object.fromEntries(Object.entries(input).filter(([key]) => !wrong.includes(key))) : {};
}

/** One sentence a problem. */
export function describeIssue(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  input: unknown,
  placeOf: (key: string) => string = () => "",
): string[] {
  const path = issue.path.map(String);
  const came = path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], input);
  const known = keysAt(schema, path);
  const unknown =
    issue.code === "unrecognized_keys"
      ? issue.keys
      : issue.code === "invalid_union" && isPlain(came) // no branch of it has these keys
        ? Object.keys(came).filter((key) => !known.includes(key))
        : [];
  if (unknown.length > 0) {
    return unknown.map((key) => {
      const name = [...path, key].join(".");
      return `unknown option "${name}"${placeOf(key)}${suggestion(key, known)}`;
    });
  }
  const message = issue.message.replace(/^Invalid input: /, "").replace(/, received .*$/, "");
  const which = path.length === 0 ? "" : `"${path.join(".")}"${placeOf(path.at(-1)!)} `;
  return [`${which}${message}, and ${show(came)} came`];
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** ` (did you mean "x"?)`, or what there is when nothing is near. */
export function suggestion(name: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const fold = (text: string): string => text.toLowerCase().replace(/[-_]/g, "");
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(fold(name), fold(candidate)) }))
    .sort((a, b) => a.far - b.far);
  const best = ranked[0]!;
  // At most all but one letter wrong: any two-letter name is two letters away from any other.
  if (best.far <= Math.min(name.length - 1, Math.max(2, Math.floor(name.length / 3)))) return ` (did you mean "${best.candidate}"?)`;
  return ` (there ${known.length === 1 ? "is" : "are"}: ${known.join(", ")})`;
}

/** A value as it reads in a message, short. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = typeof value === "object" ? "an object that is not plain data" : typeof value;
  }
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Names of the keys a schema knows at a path; of every branch where there are several. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  const places = path.reduce<z.ZodObject[]>(
    (objects, key) => objects.flatMap(({ shape }) => objectsOf(shape[key])),
    objectsOf(schema),
  );
  return [...new Set(places.flatMap(({ shape }) => Object.keys(shape)))];
}

/** The objects that a schema may mean. */
function objectsOf(schema: unknown): z.ZodObject[] {
  if (schema instanceof z.ZodObject) return [schema];
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(objectsOf);
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable
    ? objectsOf(schema.unwrap())
    : [];
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

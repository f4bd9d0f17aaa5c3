/** One way to check options everywhere: strict, all problems at once, with a suggestion for a name that is not there. */
import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { reasonOf, TrainerError } from "./errors.js";

/**
 * Checks plain options against a strict schema and fills in defaults.
 *
 * @param where whose options these are, for the message: `plugin "cutmix"`
 * @throws TrainerError ERR_OPTION that lists every problem: its path, what was expected and what it got, the nearest name
 */
export function parseOptions<S extends z.ZodType>(where: string, schema: S, input: unknown): z.output<S> {
  let problems: string[];
  try {
    const result = schema.safeParse(input ?? {});
    if (result.success) return result.data;
    problems = result.error.issues.flatMap((issue) => describeIssue(issue, schema, input));
  } catch (cause) {
    // A getter that throws, say.
    throw new TrainerError(
      "ERR_OPTION",
      `${capitalise(where)} cannot be read: ${reasonOf(cause).replace(/\.$/, "")}.`,
      { cause },
    );
  }
  throw new TrainerError("ERR_OPTION", `${capitalise(where)}: ${problems.join("; ")}.`);
}

/** One sentence a problem. */
export function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, input: unknown): string[] {
  const path = issue.path.map(String);
  const got = path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], input);
  const known = keysAt(schema, path);
  const unknown =
    issue.code === "unrecognized_keys"
      ? issue.keys
      : issue.code === "invalid_union" && isPlain(got) && known.length > 0 // no branch of it has these keys
        ? Object.keys(got).filter((key) => !known.includes(key))
        : [];
  if (unknown.length > 0) {
    return unknown.map((key) => {
      const name = [...path, key].join(".");
      return `unknown option "${name}"${suggestion(key, known)}`;
    });
  }
  const message = issue.message
    .replace(/^(Invalid (input|option|string)|Too (big|small)): /, "")
    .replace(/, received .*$/, "");
  const which = path.length === 0 ? "" : `"${path.join(".")}" `;
  return [`${which}${message}, got ${show(got)}`];
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Words of other libraries, folded, and what they are called here: the first that is known where it is asked. */
const otherWords: Readonly<Record<string, readonly string[]>> = {
  amp: ["precision"],
  batch: ["batchSize"],
  bs: ["batchSize"],
  callbacks: ["plugins"],
  dataset: ["data"],
  device: ["backend"],
  dtype: ["precision"],
  eps: ["epsilon"],
  imagesize: ["inputSize", "size"],
  imgsize: ["inputSize", "size"],
  initiallr: ["learningRate"],
  lr: ["learningRate"],
  manualseed: ["seed"],
  maxduration: ["maxTime"],
  maxepochs: ["epochs"],
  maxiter: ["maxSteps"],
  mixedprecision: ["precision"],
  nepochs: ["epochs"],
  net: ["model"],
  network: ["model"],
  numepochs: ["epochs"],
  numsteps: ["maxSteps"],
  onbatchend: ["onStep"],
  onepoch: ["onEpochEnd"],
  onepochstart: ["onEpochEnd"],
  ontrainbatchend: ["onStep"],
  ontrainbegin: ["onFitStart"],
  ontrainend: ["onFitEnd"],
  ontrainstart: ["onFitStart"],
  opt: ["optimizer"],
  out: ["folder"],
  outdir: ["folder"],
  optim: ["optimizer"],
  prob: ["probability"],
  randomseed: ["seed"],
  root: ["path"],
  steps: ["maxSteps"],
  transforms: ["plugins"],
  valsplit: ["holdout"],
  valsize: ["holdout"],
  validationfraction: ["holdout"],
  validationsplit: ["holdout"],
  wd: ["weightDecay", "decay"],
  weightdecay: ["weightDecay", "decay"],
};

/** Words that are an option of a part: where a config has them, its part is named. */
const optionsOfParts: Readonly<Record<string, readonly [part: string, example: string]>> = {
  momentum: ["optimizer", "sgd({ momentum: 0.9 })"],
  nesterov: ["optimizer", "sgd({ nesterov: true })"],
  weightdecay: ["optimizer", "adamw({ weightDecay: 0.01 })"],
  wd: ["optimizer", "adamw({ weightDecay: 0.01 })"],
  path: ["data", "imageFolder({ path })"],
  root: ["data", "imageFolder({ path })"],
  width: ["model", "resnet18({ width: 64 })"],
  patience: ["plugins", "earlyStopping({ patience: 5 })"],
};

const fold = (text: string): string => text.toLowerCase().replace(/[-_]/g, "");

/** ` (did you mean "x"?)`, or all known names when none is near. */
export function suggestion(name: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(fold(name), fold(candidate)) }))
    .sort((a, b) => a.far - b.far);
  const best = ranked[0]!;
  // At most all but one letter wrong: any two-letter name is two letters away from any other.
  const near = best.far <= Math.min(name.length - 1, Math.max(2, Math.floor(name.length / 3)));
  const word = Object.hasOwn(otherWords, fold(name))
    ? otherWords[fold(name)]!.find((each) => known.includes(each))
    : undefined;
  const meant = best.far === 0 ? best.candidate : (word ?? (near ? best.candidate : undefined));
  if (meant !== undefined) return ` (did you mean "${meant}"?)`;
  const [part, example] = Object.hasOwn(optionsOfParts, fold(name)) ? optionsOfParts[fold(name)]! : [];
  if (part !== undefined && known.includes(part)) return ` (an option of the ${part}: ${example})`;
  return ` (there ${known.length === 1 ? "is" : "are"}: ${known.join(", ")})`;
}

/** A value as it reads in a message, short. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  const short = inShort(value);
  if (short !== undefined) return short;
  let text: string;
  try {
    text = JSON.stringify(value, (_, each: unknown) => inShort(each) ?? each) ?? String(value);
  } catch {
    text = typeof value === "object" ? "an object that is not plain data" : typeof value;
  }
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** A typed array or a tensor without its numbers: "Float32Array of 48 numbers". */
function inShort(value: unknown): string | undefined {
  if (ArrayBuffer.isView(value)) {
    const { length } = value as Uint8Array;
    return `${value.constructor.name} of ${length ?? value.byteLength} ${length === undefined ? "bytes" : "numbers"}`;
  }
  const { shape, dtype } = (value ?? {}) as { shape?: unknown; dtype?: unknown };
  return Array.isArray(shape) && typeof dtype === "string" ? `a tensor of [${shape}]` : undefined;
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

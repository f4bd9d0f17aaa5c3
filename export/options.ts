/** What an export may be asked for: formats and types, and the check of it. From JavaScript no compiler has looked at the options. */
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import { parseOptions } from "../core/options.js";
import type { OpenOptions } from "../run/open.js";

export const formats = ["litert", "onnx", "tfjs", "savedmodel"] as const;
export type Format = (typeof formats)[number];

/** How weights may be stored; "int8" computes in whole numbers too. */
export const quantizations = ["float16", "int8", "int8-dynamic"] as const;
export type Quantization = (typeof quantizations)[number];

/** What each format can hold beside float32. */
const supported: Readonly<Record<Format, readonly Quantization[]>> = {
  litert: ["float16", "int8", "int8-dynamic"],
  onnx: ["float16", "int8", "int8-dynamic"],
  tfjs: ["float16", "int8-dynamic"],
  savedmodel: [],
};

/** A format, or a format with its own type of weights: "litert:int8", "savedmodel:float32". */
export type ExportTarget = Format | `${Format}:${Quantization | "float32"}`;

/** Other names for formats and types. */
const aliases: Readonly<Record<string, string>> = { tflite: "litert", fp16: "float16" };
export const withoutAlias = (name: string): string => aliases[name] ?? name;

export interface ExportOptions {
  /** Default: "onnx". */
  to?: ExportTarget | readonly ExportTarget[];
  /** Type of the weights where `to` names none. Default: float32. */
  quantize?: Quantization;
  /** Training images behind the ranges of "int8". Default 256; refused where the run has trained ranges, as `share` is. */
  calibrate?: number;
  /** Share of a value's numbers that its int8 range holds. Default 1: the extremes. */
  share?: number;
  /**
   * Layers that "int8" leaves in float32, by their names in the run: "conv1", "layer4" with all that is in it, or "logits" for the last. Default: none.
   */
  keepFloat?: readonly string[];
  /** Default "probabilities". */
  output?: "probabilities" | "logits";
  /** Type of the image's values, 0 to 255 in both. Default "float32". */
  input?: "float32" | "uint8";
  /**
   * With "tfjs" and "litert": a page that classifies images, and what a page of one's own needs. Default: where the
   * format's runtime is installed, an optional peer dependency.
   */
  page?: boolean;
  /** Where the files go. Default: `export/` in the run's folder. */
  folder?: string;
  log?: (line: string) => void;
}

const aFunction = z.custom<unknown>((value) => typeof value === "function", "expected a function");

/** `to` and `quantize` are checked together, by an error that names the types that each format can hold. */
const optionsSchema = z
  .strictObject({
    to: z.unknown(),
    quantize: z.unknown(),
    calibrate: z.int().positive(),
    share: z.number().gt(0.5).max(1),
    keepFloat: z.array(z.string()),
    output: z.enum(["probabilities", "logits"]),
    input: z.enum(["float32", "uint8"]),
    page: z.boolean(),
    folder: z.string(),
    log: aFunction,
    config: z.unknown(),
    data: z.string(),
    watch: aFunction,
  } satisfies Record<keyof (ExportOptions & OpenOptions), z.ZodType>)
  .partial();

/** @throws TrainerError ERR_OPTION for an option that is not there, or a value that it cannot have */
export const checkOptions = (given: object): void => void parseOptions("an export", optionsSchema, given);

export interface Target {
  readonly format: Format;
  readonly type: Quantization | "float32";
}

const isFormat = (name: string): name is Format => (formats as readonly string[]).includes(name);

/** @throws TrainerError ERR_OPTION for an unknown format or type, a type that a format cannot hold, or options of int8 without it */
export function targetsOf(options: ExportOptions): Target[] {
  const { to = "onnx", quantize = "float32" as Quantization, keepFloat = [], calibrate, share } = options;
  const wanted = [to].flat().map((target) => {
    const [format, type, ...more] = String(target).split(":").map(withoutAlias);
    const known = isFormat(format!) && more.length === 0 && (type === undefined || isType(type));
    return { target, known, format: format as Format, type: (type ?? quantize) as Target["type"] };
  });
  const unknown = wanted.filter(({ known }) => !known).map(({ target }) => target);
  if (unknown.length > 0 || wanted.length === 0) {
    throw new TrainerError(
      "ERR_OPTION",
      `Export: expected one or more of ${formats.join(", ")}, each maybe with a type, such as litert:int8 ` +
        `(${types.join(", ")}), got ${unknown.join(", ") || "none"}.`,
    );
  }
  const impossible = wanted.find(({ format, type }) => !canHold(format, type));
  if (impossible) {
    const { format, type } = impossible;
    const can =
      supported[format].length > 0 ? `can hold float32, ${supported[format].join(", ")}` : "holds float32 only";
    const example = wanted.map((each) => `${each.format}:${nearest(each)}`).join(",");
    throw new TrainerError(
      "ERR_OPTION",
      `The format "${format}" cannot hold ${type} weights. It ${can}. Give each format its type: --to ${example}.`,
    );
  }
  const forInt8 = Object.entries({ keepFloat: keepFloat.length > 0 ? keepFloat : undefined, calibrate, share });
  const [unused] = forInt8.find(([, value]) => value !== undefined) ?? [];
  if (unused !== undefined && !wanted.some(({ type }) => type === "int8")) {
    throw new TrainerError(
      "ERR_OPTION",
      `"${unused}" is for "int8", got ${wanted.map(({ type }) => type).join(", ")}.`,
    );
  }
  const places = wanted.map(({ format, type }) => `${format}:${type}`);
  return wanted.filter((_, at) => places.indexOf(places[at]!) === at).map(({ format, type }) => ({ format, type }));
}

const types = ["float32", ...quantizations] as const;
const isType = (name: string): boolean => (types as readonly string[]).includes(name);

const canHold = (format: Format, type: Target["type"]): boolean =>
  type === "float32" || supported[format].includes(type);

/** The type that is nearest to the one wanted, of those that a format can hold. */
const nearest = ({ format, type }: Target): Target["type"] =>
  canHold(format, type) ? type : canHold(format, "int8-dynamic") ? "int8-dynamic" : "float32";

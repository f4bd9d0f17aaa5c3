/** The options of an export, checked: from JavaScript no compiler has looked at them. */
import { z } from "zod";
import { parseOptions } from "../core/options.js";
import type { OpenOptions } from "../run/open.js";
import type { ExportOptions } from "./export.js";

const aFunction = z.custom<unknown>((value) => typeof value === "function", "expected a function");

/** `to` and `quantize` are checked together, by an error that names the types that each format can hold. */
const options = z
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
export const checkOptions = (given: object): void => void parseOptions("an export", options, given);

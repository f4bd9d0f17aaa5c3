/** `trainer export RUN`: a finished run as a file for a phone, a browser or another runtime. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { fileSize } from "../core/format.js";
import type { ExportResult, ExportTarget, Quantization } from "../export/index.js";
import { exportRun, formats, quantizations } from "../export/index.js";
import { withoutAlias } from "../export/options.js";
import { toJson } from "../run/json.js";
import { whole } from "./options.js";
import { addConfigOption, ownConfig } from "./own-config.js";
import { print, table, tell, tellWarnings } from "./terminal.js";

interface ExportCommandOptions {
  config?: string;
  to: ExportTarget[];
  quantize?: Quantization;
  calibrate?: number;
  share?: number;
  keepFloat?: string[];
  output: "probabilities" | "logits";
  input: "float32" | "uint8";
  page?: boolean;
  out?: string;
  data?: string;
  json?: boolean;
}

export function addExport(program: Command): void {
  addConfigOption(program.command("export <run>"))
    .summary("a file for a phone, a browser or another runtime")
    .description("write a finished run for LiteRT, ONNX, tf.js or TensorFlow")
    .addOption(
      new Option("--to <formats>", `one or more of ${formats.join(", ")}, separated by commas, each maybe with :type`)
        .argParser((text) => list(text))
        .default(["onnx"], "onnx"),
    )
    .addOption(
      new Option("--quantize <type>", "smaller weights, where --to names no type; int8 computes in whole numbers")
        .choices(quantizations)
        .argParser(quantization),
    )
    .option("--calibrate <n>", "training images behind the ranges of int8; default: 256", whole(1))
    .option("--share <fraction>", "share of a value's numbers that its int8 range holds; default: 1", fraction)
    .option(
      "--keep-float <layers>",
      "layers that int8 leaves in float32, separated by commas: conv1,layer4,logits",
      (text, before: string[] = []) => [...before, ...list(text)],
    )
    .addOption(
      new Option("--output <kind>", "what the model answers")
        .choices(["probabilities", "logits"])
        .default("probabilities"),
    )
    .addOption(
      new Option("--input <type>", "type of the image's values").choices(["float32", "uint8"]).default("float32"),
    )
    .option("--page", "demand a page with tfjs and litert; default: where their runtime is installed")
    .option("--no-page", "write no page")
    .option("--out <dir>", "where the files go; default: export in the run's folder")
    .option("--data <path>", "where the data lies now, if it moved; int8 needs it")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `
Every model takes RGB images [batch, size, size, 3] with values from 0 to 255,
and normalises them itself. Resize images first: scale the shorter side, then
crop the centre. The file contains the class names, and the sizes of both.

The graph is compared with the run's network before anything is written. With
int8, its top-1 on validation images and its size are printed beside those of
float32 before that. Export needs TensorFlow: run trainer backend install.

Examples:
  trainer export runs/cats-1                            model.onnx
  trainer export runs/cats-1 --to litert --quantize int8
  trainer export runs/cats-1 --to litert:int8,tfjs:int8-dynamic,savedmodel
  trainer export runs/cats-1 --quantize int8 --keep-float conv1,logits
  trainer export runs/cats-1 --to tfjs,onnx --out models`,
    )
    .action(exportCommand);
}

async function exportCommand(run: string, { config, out, json, ...options }: ExportCommandOptions): Promise<void> {
  const own = await ownConfig(run, config);
  const result = await exportRun(run, { ...options, config: own, folder: out, watch: tellWarnings, log: tell });
  print(json ? toJson(result) : formatResult(result));
}

function formatResult(result: ExportResult): string {
  const { files, pages, difference, multiplyAdds, multiplyAddsBefore: before } = result;
  const sizes = files.map(({ path, bytes, float32Bytes }) => [
    path,
    fileSize(bytes),
    ...(bytes === float32Bytes ? [] : [`float32 ${fileSize(float32Bytes)}`]),
  ]);
  return [
    table(sizes),
    "",
    ...pages.map((path) => `${path}: a page; open it with a double click`),
    `${(multiplyAdds / 1e6).toFixed(1)} M multiply-adds an image` +
      (before > multiplyAdds ? `; ${(before / 1e6).toFixed(1)} M before channels that are zero were removed` : ""),
    `float32 graph against the run's network: largest difference ${difference.toExponential(1)} of the largest logit`,
  ].join("\n");
}

const list = (text: string): string[] => text.split(",").map((each) => each.trim());

function quantization(text: string): Quantization {
  const type = withoutAlias(text) as Quantization;
  if (quantizations.includes(type)) return type;
  throw new InvalidArgumentError(`expected one of ${quantizations.join(", ")}, got ${text}.`);
}

function fraction(text: string): number {
  const value = Number(text);
  if (value > 0.5 && value <= 1) return value;
  throw new InvalidArgumentError(`expected a number above 0.5, at most 1, got ${text}.`);
}

/** The ONNX and LiteRT files of `everyOperation`, one for each way of storing numbers, and those of `largeLayers`. */
import * as tf from "@tensorflow/tfjs-core";
import type { Precision } from "../../export/formats/format.js";
import { litert } from "../../export/formats/litert.js";
import { onnx } from "../../export/formats/onnx.js";
import { joined } from "../../export/formats/pieces.js";
import { quantizedValues, type Range } from "../../export/quantize.js";
import { description, everyOperation, largeLayers } from "./every-operation.js";

/** Ranges by hand, so that the bytes do not depend on a processor's arithmetic. */
const ranges = new Map<string, Range>([
  ["image", [0, 255]],
  ["normalised", [-2.5, 2.5]],
  ...everyOperation.nodes
    .slice(1)
    .map(({ out, activation }): [string, Range] => [
      out,
      activation !== "none" || out === "squeeze" || out === "features" ? [0, 6] : [-4, 4],
    ]),
]);

export const quantized = quantizedValues(everyOperation, ranges);

/** Layers that stay in float32 in "int8-kept": in front of, between and behind quantized ones. */
export const kept: ReadonlySet<string> = new Set(["gelu", "gate.conv", "gate", "gated", "logits"]);

export async function filesToRead(): Promise<Record<string, Buffer>> {
  await tf.ready();
  const precisions: [string, Precision][] = [
    ["float32", { kind: "float32" }],
    ["float16", { kind: "float16" }],
    ["int8-dynamic", { kind: "int8-dynamic" }],
    ["int8", { kind: "int8", values: quantized }],
    ["int8-kept", { kind: "int8", values: quantized, kept }],
  ];
  const files = Object.fromEntries(
    precisions.flatMap(([name, precision]) => [
      [`${name}.onnx`, onnx(everyOperation, precision, description)],
      [`${name}.tflite`, litert(everyOperation, precision, description)],
      [
        `${name}-bytes.onnx`,
        onnx(everyOperation, precision, { ...description, input: "uint8", output: "probabilities" }),
      ],
      [
        `${name}-bytes.tflite`,
        litert(everyOperation, precision, { ...description, input: "uint8", output: "probabilities" }),
      ],
    ]),
  );
  for (const kind of ["float32", "int8-dynamic"] as const) {
    files[`large-${kind}.onnx`] = onnx(largeLayers, { kind }, description);
    files[`large-${kind}.tflite`] = litert(largeLayers, { kind }, description);
  }
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [name, joined(file)]));
}

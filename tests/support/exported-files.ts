/** The ONNX and LiteRT files of `everyOperation`, one for each way of storing numbers. */
import * as tf from "@tensorflow/tfjs-core";
import type { Precision } from "../../export/formats/format.js";
import { litert } from "../../export/formats/litert.js";
import { onnx } from "../../export/formats/onnx.js";
import { quantizedValues, type Range } from "../../export/quantize.js";
import { description, everyOperation } from "./every-operation.js";

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

export async function filesToRead(): Promise<Record<string, Uint8Array>> {
  await tf.ready();
  const precisions: Precision[] = [
    { kind: "float32" },
    { kind: "float16" },
    { kind: "int8-dynamic" },
    { kind: "int8", values: quantized },
  ];
  return Object.fromEntries(
    precisions.flatMap((precision) => [
      [`${precision.kind}.onnx`, onnx(everyOperation, precision, description)],
      [`${precision.kind}.tflite`, litert(everyOperation, precision, description)],
      [
        `${precision.kind}-bytes.onnx`,
        onnx(everyOperation, precision, { ...description, input: "uint8", output: "probabilities" }),
      ],
      [
        `${precision.kind}-bytes.tflite`,
        litert(everyOperation, precision, { ...description, input: "uint8", output: "probabilities" }),
      ],
    ]),
  );
}

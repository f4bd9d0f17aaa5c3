/**
 * Writes a network of 108 MiB in each format, and prints how much more memory the process held while it did: JSON, in MiB.
 * `write-large-model.ts FOLDER`
 */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../core/files.js";
import type { Graph, Node } from "../../core/trace/graph.js";
import type { Description, Precision } from "../../export/formats/format.js";
import { litert } from "../../export/formats/litert.js";
import { onnx } from "../../export/formats/onnx.js";
import type { Pieces } from "../../export/formats/pieces.js";
import { savedModel } from "../../export/formats/saved-model.js";
import { tfjs } from "../../export/formats/tfjs.js";
import { classifierPage } from "../../export/page.js";

const [, , folder] = process.argv;
const layers = 27;
const width = 1024; // 4 MiB of weights a layer
const mib = 2 ** 20;

const nodes = Array.from({ length: layers }, (_, place): Node => {
  const data = new Float32Array(width * width).fill(place + 1);
  const weight = { shape: [1, 1, width, width], data };
  const x = place === 0 ? "image" : `layer${place - 1}`;
  const rest = { stride: 1, pads: [0, 0, 0, 0], activation: "none" } as const;
  return { op: "conv", x, weight, bias: new Float64Array(width), out: `layer${place}`, ...rest };
});
const shapes = new Map(["image", ...nodes.map(({ out }) => out)].map((name) => [name, [-1, 1, 1, width]]));
const graph: Graph = { input: "image", output: nodes.at(-1)!.out, nodes, shapes };
const about: Description = {
  classes: ["a", "b"],
  size: 1,
  resizing: { scale: 1, crop: 1, interpolation: "bilinear" },
  mean: [0, 0, 0],
  deviation: [1, 1, 1],
  output: "logits",
  input: "float32",
  text: "large",
  version: "0.0.0",
};
const float: Precision = { kind: "float32" };
const half: Precision = { kind: "float16" };
const int8: Precision = {
  kind: "int8",
  values: new Map([...shapes.keys()].map((key) => [key, { scale: 1, zero: 0 }])),
};
const page = (model: ReadonlyMap<string, Pieces>): Iterable<Uint8Array> => {
  const input = { scale: 1, interpolation: "bilinear", crop: 1, size: 1, type: "float32" } as const;
  const rest = { version: 1, name: "large", format: "litert", model: "model.tflite", temperature: 1 } as const;
  return { [Symbol.iterator]: () => classifierPage({ ...about, ...rest, input }, model, "", "") };
};
const files: Record<string, () => Iterable<readonly [string, Iterable<Uint8Array>]>> = {
  onnx: () => [["float.onnx", onnx(graph, float, about)]],
  "onnx int8": () => [["int8.onnx", onnx(graph, int8, about)]],
  "litert float16": () => [["half.tflite", litert(graph, half, about)]],
  litert: () => [["float.tflite", litert(graph, float, about)]],
  "litert int8": () => [["int8.tflite", litert(graph, int8, about)]],
  savedmodel: () => [["saved_model.pb", savedModel(graph, about)]],
  tfjs: () => [...tfjs(graph, "float32", about)].map(([name, file]) => [`tfjs/${name}`, file] as const),
  page: () => [["index.html", page(new Map([["model.tflite", litert(graph, float, about)]]))]],
};

const found: Record<string, { more: number; written: number }> = {};
const resident = (): number => process.resourceUsage().maxRSS / 1024;
const before = resident();
for (const [name, make] of Object.entries(files)) {
  let written = 0;
  for (const [file, content] of make()) {
    const path = join(folder!, file);
    mkdirSync(dirname(path), { recursive: true });
    const counted = {
      *[Symbol.iterator]() {
        for (const piece of content) {
          written += piece.length;
          yield piece;
        }
      },
    };
    writeFileAtomic(path, counted);
  }
  found[name] = { more: Math.round(resident() - before), written: Math.round(written / mib) };
}
console.log(JSON.stringify(found));

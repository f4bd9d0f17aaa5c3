/**
 * A run in int8: which calibration keeps most, and what the official runtimes make of the files.
 *
 *     npm run bench -- int8 RUN [--calibrate 32,256] [--share 1,0.9999,0.999] [--images 2000] [--data PATH] [--python PYTHON]
 *
 * For each number of training images and each share of a value's numbers inside its range: top-1 on the test images and the share of
 * images with the class of float32, with every value rounded as the kernels round it. Images that are left out are spread evenly.
 * A run of quantize-aware has one row instead: its files have the ranges of training. Logits are compared; the softmax behind them is
 * in float in every file, and changes no class.
 *
 * With a Python that has ai-edge-litert, onnx and onnxruntime (tests/long/export-readers/requirements.txt), bench/int8.py runs the
 * files of `trainer export RUN --to litert,onnx`, in float32 and in int8, on the same images with one thread.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend } from "../core/backend/index.js";
import type { Image, Split } from "../core/data/dataset.js";
import { spread } from "../core/data/holdout.js";
import { writeAll } from "../core/files.js";
import * as ops from "../core/nn/ops.js";
import { withoutZeroChannels } from "../core/trace/channels.js";
import { interpret } from "../core/trace/interpret.js";
import { simplify, withNormalising } from "../core/trace/passes.js";
import { trace } from "../core/trace/trace.js";
import { bytesOf } from "../export/formats/format.js";
import { exportRun } from "../export/index.js";
import { rangesOfTraining } from "../export/int8.js";
import { calibrate, quantizedValues, type Range, simulator } from "../export/quantize.js";
import { openNetwork } from "../run/network.js";
import { openFolder } from "../run/open.js";
import { whole } from "./common/options.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    calibrate: { type: "string", default: "32,256" },
    share: { type: "string", default: "1,0.9999,0.999" },
    images: { type: "string", default: "2000" },
    data: { type: "string" },
    python: { type: "string" },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error("Name a run: npm run bench -- int8 runs/quickstart-1");

await loadBackend({ name: "tensorflow" });
const { trainer, weights: bytes, weightsPath } = await openFolder(folder, { data: values.data }, "images");
const { model, weights, preprocessing } = openNetwork(trainer, bytes, weightsPath, "float32");
const { inputSize: size } = preprocessing;
const graph = withoutZeroChannels(withNormalising(simplify(trace(model.layer, weights, size)), preprocessing));
const { data, trainIndices } = await trainer.prepare(() => {});
const test = data.test as Split;

function* batches(images: readonly Image[]): Generator<tf.Tensor> {
  const atOnce = size > 112 ? 8 : 32;
  for (let from = 0; from < images.length; from += atOnce) {
    yield tf.tidy(() => {
      const each = images
        .slice(from, from + atOnce)
        .map(({ pixels, height, width }) => tf.tensor3d(Float32Array.from(pixels), [height, width, 3]));
      return ops.resize(tf.stack(each) as tf.Tensor4D, size, size).clone();
    });
  }
}
const classesOf = (images: readonly Image[], run: (batch: tf.Tensor) => tf.Tensor): number[] => {
  const found: number[] = [];
  for (const batch of batches(images)) {
    tf.tidy(() => void found.push(...tf.argMax(run(batch), 1).dataSync()));
    batch.dispose();
  }
  return found;
};
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const sameAs = (found: readonly number[], wanted: ArrayLike<number>): number =>
  found.filter((each, at) => each === wanted[at]).length / found.length;

const places = spread(Int32Array.from(test.labels.keys()), whole("images", values.images));
const images = await test.read(places);
const labels = Int32Array.from(places, (place) => test.labels[place]!);
if (values.python) {
  const out = mkdtempSync(join(tmpdir(), "fitloop-int8-"));
  process.on("exit", () => rmSync(out, { recursive: true, force: true }));
  const common = { to: ["litert", "onnx"], output: "logits", page: false, folder: out, data: values.data } as const;
  await exportRun(folder, common);
  await exportRun(folder, { ...common, quantize: "int8" });
  const file = openSync(join(out, "images.f32"), "wx");
  for (const batch of batches(images)) {
    writeAll(file, bytesOf(batch.dataSync()));
    batch.dispose();
  }
  closeSync(file);
  writeFileSync(join(out, "labels.i32"), Buffer.from(labels.buffer));
  const script = join(import.meta.dirname, "int8.py");
  execFileSync(values.python, [script, out, String(size)], { stdio: "inherit" });
}
const float = classesOf(images, (batch) => interpret(graph, batch));
console.log(`${places.length} test images, float32 ${percent(sameAs(float, labels))}`);
const compare = (text: string, ranges: ReadonlyMap<string, Range>): void => {
  const found = classesOf(images, simulator(graph, quantizedValues(graph, ranges)));
  console.log(`${text} ${percent(sameAs(found, labels))}, the class of float32 on ${percent(sameAs(found, float))}`);
};
const trained = rangesOfTraining(graph, weights);
if (trained) compare("ranges of training (quantize-aware), as exported:", trained);
for (const count of trained ? [] : values.calibrate.split(",").map((each) => whole("calibrate", each))) {
  const seen = await data.train.read(spread(trainIndices, count));
  for (const share of values.share.split(",").map(Number)) {
    const ranges = calibrate(graph, () => batches(seen), { share });
    compare(`${String(count).padStart(4)} images, share ${String(share).padEnd(7)}`, ranges);
  }
}
process.exit();

/** A finished run as files for other runtimes: traced, checked against the run's own answers, and written. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { ClassifierFile } from "../browser/classifier.js";
import { loadBackend } from "../core/backend/index.js";
import { TrainerError } from "../core/errors.js";
import { type Content, writeFileAtomic } from "../core/files.js";
import { short } from "../core/format.js";
import { forward } from "../core/nn/layer.js";
import { packageVersion } from "../core/package.js";
import { stream } from "../core/rng.js";
import { withoutZeroChannels } from "../core/trace/channels.js";
import { type Graph, multiplyAdds } from "../core/trace/graph.js";
import { interpret } from "../core/trace/interpret.js";
import { simplify, withNormalising } from "../core/trace/passes.js";
import { trace } from "../core/trace/trace.js";
import { type Network, openNetwork } from "../run/network.js";
import { type OpenOptions, openFolder, type RunFiles, warnIfCutShort } from "../run/open.js";
import { writing } from "../run/output.js";
import type { Description, Precision } from "./formats/format.js";
import { litert } from "./formats/litert.js";
import { onnx } from "./formats/onnx.js";
import type { Pieces } from "./formats/pieces.js";
import { savedModelFolder } from "./formats/saved-model.js";
import { tfjs } from "./formats/tfjs.js";
import { type Comparison, comparisonLines, quantizeGraph } from "./int8.js";
import { checkOptions, type ExportOptions, type Format, type Target, targetsOf } from "./options.js";
import { aboutOf, formatsWithPage, isWeb, removePage, webFiles } from "./web.js";

export interface ExportedFile {
  readonly format: Format;
  /** For "tfjs" and "savedmodel" the folder's main file. */
  readonly path: string;
  /** Of all the format's files. */
  readonly bytes: number;
  /** What they would be with weights in float32. */
  readonly float32Bytes: number;
}

export interface ExportResult {
  /** What was written. */
  readonly files: readonly ExportedFile[];
  /** Each an `index.html` that works by a double click, in a folder that `loadClassifier` of "fitloop/browser" reads. */
  readonly pages: readonly string[];
  /** Largest difference of a logit between the graph and the run's network, relative to the largest logit. */
  readonly difference: number;
  /** Multiply-adds for one image. */
  readonly multiplyAdds: number;
  /** Before channels that are zero were removed (plugin `prune`); the same where there are none. */
  readonly multiplyAddsBefore: number;
  /** Only where a format is written in "int8". */
  readonly comparison?: Comparison;
}

/** Above this relative difference of logits nothing is written. */
const tolerance = 1e-4;

/**
 * Exports a run. The graph is compared with the run's network first, so that a file that would answer otherwise is not written.
 *
 * @param run its folder
 * @throws TrainerError ERR_OPTION for an unknown option or a quantization that a format cannot hold; ERR_EXPORT for a model that cannot be
 *   exported; ERR_BACKEND without TensorFlow; ERR_OUTPUT for a folder that cannot be written; and those of `openRun`
 */
export async function exportRun(run: string, options: ExportOptions & OpenOptions = {}): Promise<ExportResult> {
  const files = await openForExport(run, options);
  warnIfCutShort(files);
  return exportFiles(files, options);
}

/** What an export needs of a run's folder, once the options are checked. */
export async function openForExport(run: string, options: ExportOptions & OpenOptions): Promise<RunFiles> {
  checkOptions(options);
  return openFolder(run, options, targetsOf(options).some(isInt8) ? "images" : "predict");
}

const isInt8 = ({ type }: { type: string }): boolean => type === "int8";

/** `exportRun` of a run that has been opened. */
export async function exportFiles(files: RunFiles, options: ExportOptions): Promise<ExportResult> {
  const { output = "probabilities", input = "float32", log = () => {} } = options;
  const wanted = targetsOf(options);
  const withPage = formatsWithPage([...new Set(wanted.map(({ format }) => format))], options.page, log);
  const { trainer } = files;
  await loadBackend({ name: "tensorflow", log: (message) => trainer.events.emit("warning", { message }) });
  const network = openNetwork(trainer, files.weights, files.weightsPath, "float32");
  try {
    // A calibrated run's probabilities are those of its logits divided by the temperature; its logits stay as they are.
    const temperature = output === "probabilities" ? files.calibration?.temperature : undefined;
    const { graph, whole, difference } = checkedGraph(network, temperature);
    const views = network.views.length;
    if (views > 1) {
      log(`The run's accuracy is a mean of ${views} views of each image; an exported model sees the plain image only.`);
    }
    if (output === "logits" && files.calibration) {
      log(`The run is calibrated: its probabilities are softmax(logits / ${short(files.calibration.temperature, 4)}).`);
    }
    const quantized = wanted.some(isInt8)
      ? await quantizeGraph(graph, files, network, options, temperature)
      : undefined;
    const description = describe(files, network, { output, input });
    const models = wanted.map((target) => encoded(target, graph, quantized?.precision, description));
    if (quantized) {
      const sizes = models.filter(({ type }) => type === "int8");
      for (const line of comparisonLines(quantized.comparison, sizes)) log(line);
    }
    const folder = resolve(options.folder ?? join(files.folder, "export"));
    const pages: string[] = [];
    for (const { format, type, suffix, main, contents } of models) {
      if (options.folder !== undefined && existsSync(join(folder, main)))
        log(`${join(folder, main)} was there already. It is replaced.`);
      const place = join(folder, `${format}${suffix}`);
      const hasPage = isWeb(format) && withPage.includes(format);
      const about = hasPage ? aboutOf(format, basename(main), type, files, description) : undefined;
      // It would show its classes beside this model; that of LiteRT has a model of its own.
      if (format === "tfjs" && removePage(place) && !about)
        log(`${place} had a page of an earlier export. It is removed.`);
      writeModel(folder, contents);
      if (about) pages.push(await writePage(place, about, contents));
    }
    return {
      files: models.map(({ format, main, bytes, float32Bytes }) => {
        return { format, path: join(folder, main), bytes, float32Bytes };
      }),
      pages,
      difference,
      multiplyAdds: multiplyAdds(graph),
      multiplyAddsBefore: multiplyAdds(whole),
      comparison: quantized?.comparison,
    };
  } finally {
    tf.dispose([...network.weights.values()]);
  }
}

/**
 * The run's network as a graph: `whole`, and without channels that are zero.
 *
 * @throws TrainerError ERR_EXPORT for a graph that answers otherwise than the network
 */
function checkedGraph(
  network: Omit<Network, "temperature">,
  temperature: number | undefined,
): { whole: Graph; graph: Graph; difference: number } {
  const { preprocessing, model, weights } = network;
  const traced = simplify(trace(model.layer, weights, preprocessing.inputSize), { temperature });
  const whole = withNormalising(traced, preprocessing);
  const graph = withoutZeroChannels(whole);
  const difference = differenceOf(graph, network, temperature);
  if (difference <= tolerance) return { whole, graph, difference };
  throw new TrainerError(
    "ERR_EXPORT",
    `The exported graph differs from the run's network by ${difference.toExponential(1)} of the largest logit, ` +
      `expected at most ${tolerance.toExponential(0)}. Nothing was written. This is a bug in fitloop. Please report it.`,
  );
}

function describe(
  { trainer: { config } }: RunFiles,
  { preprocessing }: Pick<Network, "preprocessing">,
  { output, input }: Pick<Description, "output" | "input">,
): Description {
  const { classes, inputSize: size, height: crop, decoding, mean, deviation } = preprocessing;
  return {
    classes,
    size,
    resizing: { scale: Math.floor(crop / decoding.crop), crop, interpolation: decoding.interpolation },
    mean,
    deviation,
    output,
    input,
    text: `${config.model.name}, ${config.name}`,
    version: packageVersion(),
  };
}

/** A format's files in memory. @param int8 only for a target in int8 */
function encoded({ format, type }: Target, graph: Graph, int8: Precision | undefined, description: Description) {
  const suffix = type === "float32" ? "" : `-${type}`;
  const precision = type === "int8" ? int8! : { kind: type };
  const contents = filesOf(format, suffix, graph, precision, description);
  const plain = type === "float32" ? contents : filesOf(format, "", graph, { kind: "float32" }, description);
  const main = [...contents.keys()][0]!;
  return { format, type, suffix, main, contents, bytes: bytesIn(contents), float32Bytes: bytesIn(plain) };
}

/** @returns the page's path in `folder`, beside which lies all that a page of one's own needs */
async function writePage(
  folder: string,
  about: ClassifierFile,
  contents: ReadonlyMap<string, Pieces>,
): Promise<string> {
  const model = new Map([...contents].map(([path, each]) => [basename(path), each]));
  const parts = await webFiles(about, model);
  const beside = about.format === "litert" ? model : []; // that of tf.js lies there already
  for (const [name, content] of [...beside, ...[...parts].reverse()]) write(join(folder, name), content);
  return join(folder, [...parts.keys()][0]!);
}

const bytesIn = (contents: ReadonlyMap<string, Pieces>): number =>
  [...contents.values()].reduce((sum, { length }) => sum + length, 0);

/**
 * A single file is replaced at once. Of several, the main one is removed first and written last: an interrupted export leaves no
 * model, instead of one export's graph beside another's weights.
 */
function writeModel(folder: string, contents: ReadonlyMap<string, Pieces>): void {
  const [main, ...others] = [...contents.keys()].map((name) => join(folder, name));
  if (others.length > 0) {
    const old = [basename(main!), ...shardsOf(main!)];
    remove(dirname(main!), (name) => old.includes(name));
  }
  for (const [name, file] of [...contents].reverse()) write(join(folder, name), file);
}

/** The shards of an earlier export's model.json, which may be more; none where there is no such file or it is damaged. */
function shardsOf(path: string): string[] {
  try {
    const { weightsManifest } = JSON.parse(readFileSync(path, "utf8")) as { weightsManifest: { paths: string[] }[] };
    return weightsManifest.flatMap(({ paths }) => paths);
  } catch {
    return [];
  }
}

/** Removes some files of a folder, if there is one. */
function remove(folder: string, which: (name: string) => boolean): void {
  if (!existsSync(folder)) return;
  writing(folder, () => {
    for (const name of readdirSync(folder).filter(which)) rmSync(join(folder, name));
  });
}

function write(path: string, content: Content): void {
  writing(path, (advice) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomic(path, content, advice);
  });
}

/** File name -> file, the main one first. */
function filesOf(
  format: Format,
  suffix: string,
  graph: Graph,
  precision: Precision,
  description: Description,
): Map<string, Pieces> {
  switch (format) {
    case "litert":
      return new Map([[`model${suffix}.tflite`, litert(graph, precision, description)]]);
    case "onnx":
      return new Map([[`model${suffix}.onnx`, onnx(graph, precision, description)]]);
    case "savedmodel":
      return inFolder("saved-model", savedModelFolder(graph, description));
    case "tfjs":
      return inFolder(`tfjs${suffix}`, tfjs(graph, precision.kind as "float32", description));
  }
}

const inFolder = (folder: string, files: ReadonlyMap<string, Pieces>): Map<string, Pieces> =>
  new Map([...files].map(([name, file]) => [`${folder}/${name}`, file]));

/**
 * Largest difference of a logit on images of noise, relative to the largest logit. Noise shows what images show: the graph
 * has the network's operations or it has not.
 */
function differenceOf(
  graph: Graph,
  { model, weights, preprocessing }: Pick<Network, "model" | "weights" | "preprocessing">,
  temperature = 1,
): number {
  const size = preprocessing.inputSize;
  const count = 8;
  const random = stream(1, "export");
  const pixels = Float32Array.from({ length: count * size * size * 3 }, () => random.int(256));
  return tf.tidy(() => {
    const images = tf.tensor4d(pixels, [count, size, size, 3]);
    const normal = tf.div(tf.sub(tf.div(images, 255), [...preprocessing.mean]), [...preprocessing.deviation]);
    const wanted = tf.div(forward(model.layer, normal, { weights }), temperature);
    const largest = tf.max(tf.abs(wanted)).dataSync()[0]!;
    const apart = tf.max(tf.abs(tf.sub(interpret(graph, images), wanted))).dataSync()[0]!;
    return largest > 0 ? apart / largest : apart;
  });
}

/** Grad-CAM (Selvaraju et al. 2017): draws where the network looks, on the same pictures again and again. */
import * as tf from "@tensorflow/tfjs-core";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { createLoader, definePlugin, gradCam as mapsOf, ops, overlay, rowPng, subset, type Run } from "../../core/index.js";

const options = z.strictObject({
  every: z.int().min(0).default(10).describe("epochs between drawings; 0 draws at the end alone, which is always done"),
  pictures: z.int().positive().default(8).describe("held-out pictures, spread evenly; training ones without a holdout"),
  of: z.enum(["predicted", "true"]).default("predicted").describe("the class whose evidence is drawn"),
  layer: z.string().optional().describe("full name of the layer to look at; the last feature map when left out"),
});

/** `count` places (or all there are), spread evenly: data sets are often sorted by class. */
export function spread(places: Int32Array, count: number): Int32Array {
  const taken = Math.min(count, places.length);
  return Int32Array.from({ length: taken }, (_, at) => places[Math.floor((at * places.length) / taken)]!);
}

const fileName = (place: number, truth: string, said: string): string =>
  `${place}-${truth}-said-${said}.png`.replaceAll(/[^\w.-]+/g, "-");

type Settings = z.output<typeof options>;

/** Writes a PNG a picture, itself beside itself under its map, into a folder that is made. */
async function draw(run: Run, weights: ReadonlyMap<string, tf.Tensor>, folder: string, settings: Settings): Promise<void> {
  const { data, model, inputSize } = run;
  const { height, width, classes: names } = data;
  const places = spread(run.heldIndices.length > 0 ? run.heldIndices : run.trainIndices, settings.pictures);
  const split = subset(data.train, places);
  const pictures = await split.read(places.map((_, at) => at));
  // The loader normalises as in training; one batch holds them all.
  const loader = createLoader({ ...data, split, batchSize: places.length, seed: 0, shuffle: false });
  await mkdir(folder, { recursive: true });
  for await (const { images, labels } of loader.epoch(0)) {
    const { maps, said } = tf.tidy(() => {
      const sized = ops.resize(tf.tensor4d(images, [labels.length, height, width, 3]), inputSize, inputSize) as tf.Tensor4D;
      const classes = settings.of === "true" ? labels : undefined;
      const found = mapsOf({ model, weights, images: sized, classes, layer: settings.layer, size: [height, width] });
      return { maps: found.upsampled.dataSync() as Float32Array, said: tf.argMax(found.logits, 1).dataSync() };
    });
    const area = height * width;
    for (const [at, picture] of pictures.entries()) {
      const drawn = overlay(picture, maps.subarray(at * area, (at + 1) * area));
      const name = fileName(places[at]!, names[labels[at]!]!, names[said[at]!]!);
      await writeFile(join(folder, name), await rowPng([picture, drawn]));
    }
  }
}

export const gradCam = definePlugin({
  name: "grad-cam",
  summary: "Draws where the network looks, into the run's folder",
  options,
  observer: true,
  apply(settings, { hooks }) {
    let run: Run | undefined;
    let evaluated: ReadonlyMap<string, tf.Tensor> | undefined;
    const drawInto = async (name: string): Promise<void> => {
      if (run?.folder) await draw(run, evaluated ?? run.weights(), join(run.folder, "gradcam", name), settings);
    };

    hooks.onFitStart.tap((started) => void (run = started));
    // Last: the weights that the figures beside the drawings come from. They may be gone after the next step.
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      evaluated = evaluation.weights;
      return evaluation;
    });
    hooks.onEpochEnd.tap(async ({ epoch }) => {
      const due = settings.every > 0 && (epoch + 1) % settings.every === 0;
      if (due) await drawInto(`epoch-${String(epoch + 1).padStart(3, "0")}`);
      evaluated = undefined;
    });
    hooks.onFitEnd.tap(async ({ stopReason }) => {
      if (!stopReason.startsWith("failed")) await drawInto("final");
      run = evaluated = undefined;
    });
  },
});

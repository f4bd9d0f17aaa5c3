/** Grad-CAM (Selvaraju et al. 2017): draws heat maps of the same images throughout a run. */

import { join, relative, sep } from "node:path";
import type * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type FitContext } from "../../core/index.js";
import { draw } from "./draw.js";

const options = z.strictObject({
  every: z.int().min(0).default(10).describe("epochs between drawings; 0 draws only at the end, which always happens"),
  images: z
    .int()
    .positive()
    .default(8)
    .describe("number of validation images, spread evenly; training images without validation"),
  of: z.enum(["predicted", "true"]).default("predicted").describe("class to explain"),
  layer: z.string().optional().describe("full name of the layer; default: the last feature map"),
});

export const gradCam = definePlugin({
  name: "grad-cam",
  summary: "Draws heat maps (Grad-CAM) into the run's folder",
  options,
  observer: true,
  apply(settings, { hooks, events }) {
    let run: FitContext | undefined;
    let evaluated: ReadonlyMap<string, tf.Tensor> | undefined;
    const drawInto = async (name: string, step: number): Promise<void> => {
      if (!run?.folder) return;
      const folder = join(run.folder, "gradcam", name);
      for (const { file, place, caption } of await draw(run, evaluated ?? run.weights(), folder, settings)) {
        const path = relative(run.folder, file).replaceAll(sep, "/");
        // The final weights may differ from the last epoch's, at the same step.
        const group = name === "final" ? "grad-cam, final" : "grad-cam";
        events.emit("image", { step, tag: `${group}/${place}`, path, caption });
      }
    };

    hooks.onFitStart.tap((started) => void (run = started));
    // Last: the weights of this evaluation's metrics. They may be gone after the next step.
    hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
      evaluated = evaluation.weights;
      return evaluation;
    });
    hooks.onEpochEnd.tap(async ({ epoch, step }) => {
      const due = settings.every > 0 && (epoch + 1) % settings.every === 0;
      if (due) await drawInto(`epoch-${String(epoch + 1).padStart(3, "0")}`, step);
      evaluated = undefined;
    });
    hooks.onFitEnd.tap(async ({ stopReason, steps }) => {
      if (!stopReason.startsWith("failed")) await drawInto("final", steps);
      run = evaluated = undefined;
    });
  },
});

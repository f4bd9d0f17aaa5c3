/** A first layer that whitens patches, computed from training images and frozen (Page 2019; Jordan 2024). */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { type Data, definePlugin, type Image, type ParamGroup, TrainerError } from "../../core/index.js";
import { symmetricEigen } from "./eigen.js";

const options = z.strictObject({
  layer: z.string().default("whiten").describe("the model's first convolution, by its name"),
  images: z.int().positive().default(5000).describe("training images that the patches are taken from"),
  epsilon: z.number().positive().default(5e-4).describe("added to each variance before its root"),
  biasEpochs: z.int().min(0).default(3).describe("epochs in which the layer's bias trains, if it has one"),
});

/** Sum over all k × k patches of the outer product of a patch with itself, and how many there were. */
export function patchMoments(
  images: readonly Image[],
  kernel: number,
  { mean, deviation }: Pick<Data, "mean" | "deviation">,
): { moments: Float64Array; patches: number } {
  const size = kernel * kernel * 3;
  const moments = new Float64Array(size * size);
  const patch = new Float64Array(size);
  let patches = 0;
  for (const { pixels, height, width } of images) {
    for (let top = 0; top + kernel <= height; top++) {
      for (let left = 0; left + kernel <= width; left++, patches++) {
        for (let at = 0, row = 0; row < kernel; row++) {
          const from = ((top + row) * width + left) * 3;
          for (let offset = 0; offset < kernel * 3; offset++, at++) {
            const channel = offset % 3;
            patch[at] = (pixels[from + offset]! / 255 - mean[channel]!) / deviation[channel]!;
          }
        }
        for (let i = 0; i < size; i++) {
          for (let j = i; j < size; j++) moments[i * size + j]! += patch[i]! * patch[j]!;
        }
      }
    }
  }
  return { moments, patches };
}

/**
 * Filters [kernel, kernel, 3, filters]: the principal directions of the patches, each divided by the root of its variance
 * (not centred), and their negatives, the strongest first.
 */
export function whiteningFilters(
  { moments, patches }: { moments: Float64Array; patches: number },
  kernel: number,
  filters: number,
  epsilon: number,
): Float32Array {
  const size = kernel * kernel * 3;
  const covariance = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => moments[Math.min(i, j) * size + Math.max(i, j)]! / patches),
  );
  const { values, vectors } = symmetricEigen(covariance);
  const out = new Float32Array(size * filters);
  for (let filter = 0; filter < filters / 2; filter++) {
    const scale = 1 / Math.sqrt(values[filter]! + epsilon);
    for (let at = 0; at < size; at++) {
      out[at * filters + filter] = scale * vectors[filter]![at]!;
      out[at * filters + filter + filters / 2] = -scale * vectors[filter]![at]!;
    }
  }
  return out;
}

/** The groups with the layer's kernel frozen, and its bias too once `biasEpochs` are over. */
export function frozen(groups: readonly ParamGroup[], layer: string, biasTrains: boolean): ParamGroup[] {
  const isFrozen = (name: string): boolean => name === `${layer}.weight` || (!biasTrains && name === `${layer}.bias`);
  return groups.flatMap((group) => {
    const [still, moving] = [group.parameters.filter(isFrozen), group.parameters.filter((name) => !isFrozen(name))];
    if (still.length === 0) return [group];
    const rest = moving.length > 0 ? [{ ...group, parameters: moving }] : [];
    return [{ ...group, name: `${group.name} (whitening)`, parameters: still, trains: false }, ...rest];
  });
}

export const whitening = definePlugin({
  name: "whitening",
  summary: "Computes the first layer from training images: patches come out of it with equal variance",
  options,
  apply({ layer, images, epsilon, biasEpochs }, { hooks }) {
    let computed = false;
    hooks.onFitStart.tap({ stage: "early" }, async (run) => {
      if (computed) return; // a resumed run has its filters
      const name = `${layer}.weight`;
      const kernel = run.weights().get(name);
      const [rows, columns, channels, filters] = kernel?.shape ?? [];
      if (!kernel || rows !== columns || channels !== 3 || filters! % 2 !== 0 || filters! > 6 * rows! * rows!) {
        const got = kernel ? `"${name}" is [${kernel.shape}]` : `the model has no "${name}"`;
        throw new TrainerError(
          "ERR_OPTION",
          `Plugin "whitening" expected a first convolution of [k, k, 3, at most 6 k²], an even number of filters; ${got}. ` +
            'Name it with "layer".',
        );
      }
      const chosen = run.trainIndices.slice(0, images);
      const moments = patchMoments(await run.data.train.read(chosen), rows!, run.data);
      const values = whiteningFilters(moments, rows!, filters!, epsilon);
      run.replaceWeights(new Map([[name, tf.tensor(values, kernel.shape, "float32")]]));
      computed = true;
    });
    hooks.resolveParamGroups.tap((groups, { epoch }) => frozen(groups, layer, epoch < biasEpochs));
    return {
      save: () => ({ values: { computed } }),
      load: ({ values }) => void ({ computed } = values as { computed: boolean }),
    };
  },
});

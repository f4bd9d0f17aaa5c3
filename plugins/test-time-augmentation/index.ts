/** Test-time augmentation: averages the predictions for several views of an image. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, TrainerError, type View } from "../../core/index.js";

const options = z.strictObject({
  flip: z.boolean().default(true).describe("add the mirrored image as a view"),
  shift: z.int().min(0).default(0).describe("add two views, shifted by this many pixels up-left and down-right"),
  shiftWeight: z
    .number()
    .positive()
    .default(1)
    .describe("weight of each shifted view; that of the unshifted ones is 1"),
  of: z
    .enum(["probabilities", "logits"])
    .default("probabilities")
    .describe("what is averaged over the views; the mean of logits goes through softmax"),
});

/**
 * The six views of the fast CIFAR recipes (Jordan 2024): of the logits, 1/4 plain, 1/4 mirrored, 1/8 for each shift by one
 * pixel and its mirror.
 */
export const sixViews = { flip: true, shift: 1, shiftWeight: 0.5, of: "logits" } as const;

/** [batch, height, width, 3], left and right swapped. */
export function mirrored(images: tf.Tensor4D): tf.Tensor4D {
  return tf.reverse(images, 2);
}

/**
 * Shifts by whole pixels to the right and down (negative: left and up). New pixels mirror the image at its border.
 *
 * @throws TrainerError ERR_OPTION where the images are not larger than the shift
 */
export function moved(images: tf.Tensor4D, right: number, down: number): tf.Tensor4D {
  const [x, y] = [Math.abs(right), Math.abs(down)];
  const [, height, width] = images.shape;
  if (x >= width || y >= height) {
    const text = `expected "shift" below the image size of ${height} × ${width}, got ${Math.max(x, y)}.`;
    throw new TrainerError("ERR_OPTION", `Plugin "test-time-augmentation": ${text}`);
  }
  const padded = tf.mirrorPad(
    images,
    [
      [0, 0],
      [y, y],
      [x, x],
      [0, 0],
    ],
    "reflect",
  );
  return tf.slice(padded, [0, y - down, x - right, 0], images.shape);
}

/** Views beside the plain image: the shifts, then the mirror of each. */
export function moreViews({ flip, shift, shiftWeight: weight }: Omit<z.output<typeof options>, "of">): View[] {
  const shifts: View[] =
    shift === 0
      ? []
      : [
          { name: "up-left", weight, apply: (images) => moved(images, -shift, -shift) },
          { name: "down-right", weight, apply: (images) => moved(images, shift, shift) },
        ];
  const mirrors: View[] = [
    { name: "mirrored", apply: mirrored },
    ...shifts.map(
      ({ name, apply }): View => ({
        name: `${name}, mirrored`,
        weight,
        apply: (images) => mirrored(apply(images)),
      }),
    ),
  ];
  return flip ? [...shifts, ...mirrors] : shifts;
}

export const testTimeAugmentation = definePlugin({
  name: "test-time-augmentation",
  summary: "Averages the predictions for several views of an image",
  options,
  apply(settings, { hooks }) {
    const views = moreViews(settings);
    hooks.beforeEvaluate.tap((evaluation) => ({
      ...evaluation,
      views: [...evaluation.views, ...views],
      average: settings.of,
    }));
  },
});

/** Test-time augmentation: what the network says of several looks at a picture is averaged. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, TrainerError, type View } from "../../core/index.js";

const options = z.strictObject({
  flip: z.boolean().default(true).describe("also look at the mirrored picture"),
  shift: z.int().min(0).default(0).describe("also look at it moved so many pixels up and left, and down and right"),
});

/** [batch, height, width, 3], left and right swapped. */
export function mirrored(images: tf.Tensor4D): tf.Tensor4D {
  return tf.reverse(images, 2);
}

/**
 * Moved by whole pixels to the right and down (negative: left and up); what comes in mirrors what is at the
 * border.
 *
 * @throws TrainerError ERR_OPTION where the pictures are not larger than that
 */
export function moved(images: tf.Tensor4D, right: number, down: number): tf.Tensor4D {
  const [x, y] = [Math.abs(right), Math.abs(down)];
  const [, height, width] = images.shape;
  if (x >= width || y >= height) {
    const text = `"shift" is ${Math.max(x, y)}, and the pictures are ${height} × ${width}: it must be smaller.`;
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

/** The plain picture's views besides it: every shift, then the mirror of each. */
export function moreViews({ flip, shift }: { flip: boolean; shift: number }): View[] {
  const shifts: View[] =
    shift === 0
      ? []
      : [
          { name: "up-left", apply: (images) => moved(images, -shift, -shift) },
          { name: "down-right", apply: (images) => moved(images, shift, shift) },
        ];
  const mirrors: View[] = [
    { name: "mirrored", apply: mirrored },
    ...shifts.map(
      ({ name, apply }): View => ({
        name: `${name}, mirrored`,
        apply: (images) => mirrored(apply(images)),
      }),
    ),
  ];
  return flip ? [...shifts, ...mirrors] : shifts;
}

export const testTimeAugmentation = definePlugin({
  name: "test-time-augmentation",
  summary: "Averages what the network says of several looks at a picture",
  options,
  apply(settings, { hooks }) {
    const views = moreViews(settings);
    hooks.beforeEvaluate.tap((evaluation) => ({ ...evaluation, views: [...evaluation.views, ...views] }));
  },
});

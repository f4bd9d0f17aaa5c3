/** Small checkpoints, each of its own numbers. */

import { stream } from "../../core/rng.js";
import type { Checkpoint } from "../../run/checkpoints.js";

/** @param variant another state of the same place */
export function sampleCheckpoint(step: number, { variant = 0, part = 0, numbers = 6 } = {}): Checkpoint {
  const draws = stream(step, "sample checkpoint", variant, part);
  const floats = Float32Array.from({ length: numbers }, () => draws.normal());
  floats.set([-0, NaN, Infinity]);
  return {
    step,
    part,
    tensors: new Map([
      ["weights/conv1.weight", { shape: [numbers / 2, 2], data: floats }],
      ["slots/steps", { shape: [], data: Int32Array.of(draws.int(2 ** 31)) }],
      ["weights/none", { shape: [0, 3], data: new Float32Array() }],
    ]),
    meta: {
      step,
      variant,
      best: NaN,
      worst: -Infinity,
      zero: -0,
      rates: [0.1, 1 / 3],
      text: "#ü\n\u2028",
      none: null,
    },
  };
}

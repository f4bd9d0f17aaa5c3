/** Gradients from plain numbers and back. */

import * as tf from "@tensorflow/tfjs-core";
import type { Gradients } from "../../core/index.js";

export const gradientsOf = (values: Record<string, number[] | number[][]>): Gradients =>
  new Map(Object.entries(values).map(([name, value]) => [name, tf.tensor(value)]));
export const numbersIn = (gradients: Gradients): Record<string, unknown> =>
  Object.fromEntries([...gradients].map(([name, value]) => [name, value.arraySync()]));

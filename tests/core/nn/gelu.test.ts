/** GELU and its gradient against PyTorch's exact form, on both backends. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import * as ops from "../../../core/nn/ops.js";
import { goldenJson } from "../../golden/torch/read.js";

const { gelu } = goldenJson<{ gelu: { x: number[]; y: number[]; gradient: number[] } }>("airbench.json");

describe.each(["tensorflow", "wasm"] as const)("on %s", (name) => {
  beforeAll(() => loadBackend({ name }));

  it("is x times the normal distribution's share below x, and so is its gradient", () => {
    const [y, slope] = tf.tidy(() => {
      const x = tf.tensor1d(gelu.x);
      return [
        ops.gelu(x).dataSync(),
        tf
          .grad((each: tf.Tensor) => tf.sum(ops.gelu(each)))(x)
          .dataSync(),
      ];
    });
    // wasm's erf is a polynomial, good to 1.5e-7; times x of up to 6.
    gelu.y.forEach((wanted, place) => expect(Math.abs(y![place]! - wanted)).toBeLessThan(1e-6));
    gelu.gradient.forEach((wanted, place) => expect(Math.abs(slope![place]! - wanted)).toBeLessThan(1e-6));
  });
});

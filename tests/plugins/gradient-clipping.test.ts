import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../core/index.js";
import { mountPlugin, stepAt } from "../../core/testing/index.js";
import { clipFactor, gradientClipping } from "../../plugins/gradient-clipping/index.js";
import { gradientsOf, numbersIn } from "../support/gradients.js";

beforeAll(async () => void (await loadBackend()));

describe("gradient-clipping", () => {
  interface Case {
    name: string;
    gradients: Record<string, number[]>;
    limit: number;
    clipped: Record<string, number[]>;
  }
  const { cases } = JSON.parse(readFileSync(new URL("../golden/torch/grad-clip.json", import.meta.url), "utf8")) as {
    cases: Case[];
  };

  it.each(cases)("is clip_grad_norm_: $name", ({ gradients, limit, clipped }) => {
    tf.tidy(() => {
      const { call } = mountPlugin(gradientClipping({ maximum: limit }));
      const next = call.beforeStep(gradientsOf(gradients), stepAt());
      for (const [name, expected] of Object.entries(clipped)) {
        const off = tf.norm(tf.sub(next.get(name)!, tf.tensor(expected))).dataSync()[0]!;
        expect(off).toBeLessThanOrEqual(2e-6 * tf.norm(tf.tensor(expected)).dataSync()[0]!);
      }
    });
  });

  it("lets a norm that is not finite through, for the loop to refuse", () => {
    tf.tidy(() => {
      const { call } = mountPlugin(gradientClipping());
      expect(numbersIn(call.beforeStep(gradientsOf({ a: [Infinity, 1] }), stepAt()))).toEqual({
        a: [Infinity, 1],
      });
      const factors = [0, 1e-9, 4, NaN, Infinity].map((norm) => clipFactor(tf.scalar(norm), 1).dataSync()[0]!);
      expect(factors).toEqual([1, 1, expect.closeTo(0.25, 6), 1, 1]);
    });
  });
});

/** Focal loss and its gradient against autograd's of the formula, on both backends. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { focalLoss } from "../../../core/nn/losses.js";
import { goldenJson, relativeDifference } from "../../golden/torch/read.js";

interface Case {
  name: string;
  gamma: number;
  logits: number[][];
  targets: number[][];
  loss: number;
  gradient: number[][];
}

const { cases } = goldenJson<{ cases: Case[] }>("focal.json");

function lossAndGradient({ logits, targets, gamma }: Pick<Case, "logits" | "targets" | "gamma">) {
  return tf.tidy(() => {
    const wanted = tf.tensor2d(targets);
    const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => focalLoss(z, wanted, gamma))(tf.tensor2d(logits));
    return { loss: value.dataSync()[0]!, gradient: [...grad.dataSync()] } as never as {
      loss: number;
      gradient: number[];
    };
  });
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(() => loadBackend({ name: backend }));

  it.each(cases.map((each) => [each.name, each] as const))("%s", (_, golden) => {
    const { loss, gradient } = lossAndGradient(golden);
    expect(Math.abs(loss / golden.loss - 1)).toBeLessThan(1e-6);
    expect(relativeDifference(gradient, golden.gradient.flat())).toBeLessThan(2e-6);
  });

  it("is finite where the network is sure, right or wrong", () => {
    for (const gamma of [0.5, 2]) {
      const { loss, gradient } = lossAndGradient({ logits: [[200, -200]], targets: [[1, 0]], gamma });
      expect([loss, ...gradient].every(Number.isFinite)).toBe(true);
      const wrong = lossAndGradient({ logits: [[-200, 200]], targets: [[1, 0]], gamma });
      expect([wrong.loss, ...wrong.gradient].every(Number.isFinite)).toBe(true);
    }
  });
});

/** The loss and its gradient against PyTorch's, on both backends. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { softCrossEntropy } from "../../../core/nn/ops.js";
import { goldenJson, relativeDifference } from "../../golden/torch/read.js";

interface Case {
  name: string;
  logits: number[][];
  targets: number[][];
  loss: number;
  gradient: number[][];
}

const { cases, classes } = goldenJson<{ cases: Case[]; classes: number }>("losses.json");

/** float32 against float64; the gradient is a difference of numbers near one. */
const tolerance = 1e-6;

function lossAndGradient(logits: number[][], targets: number[][]): { loss: number; gradient: number[] } {
  let found = { loss: NaN, gradient: [] as number[] };
  tf.tidy(() => {
    const wanted = tf.tensor2d(targets);
    const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => softCrossEntropy(z, wanted))(tf.tensor2d(logits));
    found = { loss: value.dataSync()[0]!, gradient: [...grad.dataSync()] };
  });
  return found;
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(() => loadBackend({ name: backend }));

  it.each(cases.map((each) => [each.name, each] as const))("%s", (_, golden) => {
    const { loss, gradient } = lossAndGradient(golden.logits, golden.targets);
    expect(Math.abs(loss / golden.loss - 1)).toBeLessThan(tolerance);
    expect(relativeDifference(gradient, golden.gradient.flat())).toBeLessThan(tolerance);
  });

  it("is ln K for equal logits, whatever the smoothing", () => {
    const smoothed = Array.from({ length: classes }, (_, index) => (index === 0 ? 0.9 : 0) + 0.1 / classes);
    const { loss } = lossAndGradient([new Array<number>(classes).fill(3)], [smoothed]);
    expect(loss).toBeCloseTo(Math.log(classes), 6);
  });

  it("scales with the mass of a target, as a weight of its sample would", () => {
    const logits = [[0.5, -1, 2]];
    const whole = lossAndGradient(logits, [[0.2, 0.3, 0.5]]);
    const half = lossAndGradient(logits, [[0.1, 0.15, 0.25]]);
    expect(half.loss).toBeCloseTo(whole.loss / 2, 6);
    expect(
      relativeDifference(
        half.gradient,
        whole.gradient.map((each) => each / 2),
      ),
    ).toBeLessThan(tolerance);
  });

  it("takes targets that were made inside the tape", () => {
    const logits = tf.tensor2d([[0.5, -1, 2]]);
    const made = tf.grad((z: tf.Tensor) => softCrossEntropy(z, tf.mul(tf.tensor2d([[0, 2, 0]]), 0.5)))(logits);
    const targets = tf.tensor2d([[0, 1, 0]]);
    const given = tf.grad((z: tf.Tensor) => softCrossEntropy(z, targets))(logits);
    expect(relativeDifference(made.dataSync(), given.dataSync())).toBeLessThan(tolerance);
  });

  it("gives its gradient the factor of what comes after it", () => {
    const logits = tf.tensor2d([[0.5, -1, 2]]);
    const targets = tf.tensor2d([[0, 1, 0]]);
    const plain = tf
      .grad((z: tf.Tensor) => softCrossEntropy(z, targets))(logits)
      .dataSync();
    const tripled = tf
      .grad((z: tf.Tensor) => tf.mul(softCrossEntropy(z, targets), 3))(logits)
      .dataSync();
    expect(
      relativeDifference(
        tripled,
        plain.map((each) => 3 * each),
      ),
    ).toBeLessThan(tolerance);
  });
});

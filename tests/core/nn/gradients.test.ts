/**
 * R21: gradients and updates against the formulas in double precision, for shapes and numbers of every kind; and the
 * gradient of a whole network against the differences of its loss.
 */

import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { adamw, loadBackend, type Optimizer, sgd } from "../../../core/index.js";
import { valueAndGradients } from "../../../core/nn/backward.js";
import { forward, initialWeights, namedParameters } from "../../../core/nn/layer.js";
import * as ops from "../../../core/nn/ops.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";
import { microNet } from "../../../core/testing/index.js";
import { updateOnce } from "../../support/update-once.js";

const norm = (values: Iterable<number>): number => Math.hypot(...values);
const apart = (ours: ArrayLike<number>, exact: readonly number[]): number =>
  norm(exact.map((value, index) => value - ours[index]!));
const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Float32 numbers of a normal distribution: the reference must begin with the very numbers that we do. */
const normals = (seed: number, count: number, scale: number, key = 0): number[] => {
  const draws = stream(seed, "numbers", key);
  return Array.from({ length: count }, () => Math.fround(scale * draws.normal()));
};

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(async () => void (await loadBackend({ name: backend })));

  it("cross entropy and its gradient are the formula's to 1e-5", () => {
    const size = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(
        seeds,
        size,
        fc.integer({ min: 2, max: 20 }),
        fc.constantFrom(0.1, 1, 5, 20),
        (seed, batch, classes, scale) => {
          const logits = normals(seed, batch * classes, scale);
          const raw = normals(seed, batch * classes, 1, 1).map(Math.abs);
          const rowsOf = (values: readonly number[]): number[][] =>
            Array.from({ length: batch }, (_, row) => values.slice(row * classes, (row + 1) * classes));
          const targets = rowsOf(raw).flatMap((row) =>
            row.map((each) => Math.fround(each / row.reduce((a, b) => a + b))),
          );
          let loss = 0;
          const gradient = rowsOf(logits).flatMap((row, at) => {
            const largest = Math.max(...row);
            const logSum = largest + Math.log(row.reduce((sum, each) => sum + Math.exp(each - largest), 0));
            const wanted = rowsOf(targets)[at]!;
            const mass = wanted.reduce((a, b) => a + b);
            row.forEach((each, index) => (loss -= (wanted[index]! * (each - logSum)) / batch));
            return row.map((each, index) => (Math.exp(each - logSum) * mass - wanted[index]!) / batch);
          });
          tf.tidy(() => {
            const wanted = tf.tensor2d(targets, [batch, classes]);
            const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => ops.softCrossEntropy(z, wanted))(
              tf.tensor2d(logits, [batch, classes]),
            );
            expect(Math.abs(value.dataSync()[0]! - loss)).toBeLessThan(1e-5 * Math.max(loss, 1e-2));
            expect(apart(grad.dataSync(), gradient)).toBeLessThan(
              1e-5 * Math.max(norm(gradient), norm(targets) / batch),
            );
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  type Update = (value: number, gradient: number, slots: number[], rate: number, count: number) => [number, number[]];
  const exactSgd =
    (m: number, nesterov: boolean, decay: number): Update =>
    (value, gradient, slots, rate) => {
      const decayed = value * (1 - rate * decay);
      if (m === 0) return [decayed - rate * gradient, []];
      const velocity = m * slots[0]! + gradient;
      return [decayed - rate * (nesterov ? gradient + m * velocity : velocity), [velocity]];
    };
  const exactAdamw =
    (b1: number, b2: number, epsilon: number, decay: number): Update =>
    (value, gradient, slots, rate, count) => {
      const mean = b1 * slots[0]! + (1 - b1) * gradient;
      const square = b2 * slots[1]! + (1 - b2) * gradient ** 2;
      const root = Math.sqrt(square) / Math.sqrt(1 - b2 ** count) + epsilon;
      return [value * (1 - rate * decay) - (rate / (1 - b1 ** count)) * (mean / root), [mean, square]];
    };

  it.each<[string, Optimizer, Update]>([
    ["sgd", makePart(sgd({ momentum: 0, weightDecay: 0.1 })), exactSgd(0, false, 0.1)],
    ["sgd with momentum", makePart(sgd({ momentum: 0.9 })), exactSgd(0.9, false, 0)],
    [
      "sgd with Nesterov's",
      makePart(sgd({ momentum: 0.8, nesterov: true, weightDecay: 0.01 })),
      exactSgd(0.8, true, 0.01),
    ],
    ["adamw", makePart(adamw({ weightDecay: 0.05 })), exactAdamw(0.9, 0.999, 1e-8, 0.05)],
  ])("%s moves values and state as the formula does, to 1e-5", (_, optimizer, exact) => {
    const shape = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });
    fc.assert(
      fc.property(
        seeds,
        shape,
        fc.constantFrom(1e-4, 0.01, 0.3),
        fc.integer({ min: 1, max: 5000 }),
        (seed, dimensions, rate, count) => {
          const size = tf.util.sizeFromShape(dimensions);
          const value = normals(seed, size, 1);
          const gradient = normals(seed, size, 0.1, 1);
          const slots = optimizer.slots.map((slot, key) =>
            normals(seed, size, 0.1, 2 + key).map((each) => (slot === "square" ? Math.fround(each ** 2) : each)),
          );
          const wanted = value.map((each, at) =>
            exact(
              each,
              gradient[at]!,
              slots.map((slot) => slot[at]!),
              rate,
              count,
            ),
          );
          tf.tidy(() => {
            const tensor = (values: number[]): tf.Tensor => tf.tensor(values, dimensions, "float32");
            const [next, moved] = updateOnce(optimizer, tensor(value), tensor(gradient), slots.map(tensor), {
              rate,
              count,
              decayFactor: 1,
            });
            const pairs = [
              [next, wanted.map(([each]) => each)] as const,
              ...moved.map((slot, key) => [slot, wanted.map(([, all]) => all[key]!)] as const),
            ];
            const rounding = 2 ** -22 * (norm(value) + norm(gradient) + norm(slots.flat())); // of terms that may cancel
            for (const [ours, theirs] of pairs) {
              expect(ours.shape).toEqual(dimensions);
              expect(apart(ours.dataSync(), [...theirs])).toBeLessThanOrEqual(1e-5 * norm(theirs) + rounding);
            }
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  it("the gradient of a network is the slope of its loss, parameter by parameter", () => {
    const classes = 3;
    const through = <T>(layer: T): T => layer;
    const { layer } = makePart(microNet({ width: 6 })).build({
      inputSize: 32,
      classes,
      buildBlock: through,
      buildHead: through,
    });
    const weights = initialWeights(layer, 3);
    const names = [...namedParameters(layer).keys()];
    tf.tidy(() => {
      const images = tf.tensor4d(normals(4, 5 * 8 * 8 * 3, 1), [5, 8, 8, 3]);
      const targets = tf.softmax(tf.tensor2d(normals(5, 5 * classes, 1), [5, classes]));
      const lossAt = (values: ReadonlyMap<string, tf.Tensor>): tf.Scalar =>
        ops.softCrossEntropy(forward(layer, images, { weights: values, training: true }), targets) as tf.Scalar;
      const { gradients } = valueAndGradients(
        () => lossAt(weights),
        names.map((name) => weights.get(name)!),
      );
      names.forEach((name, index) => {
        const gradient = gradients[index]!;
        const length = norm(gradient.dataSync());
        // Along the gradient the loss rises by its length; a step of this size is far above float32's rounding.
        const step = 1e-2;
        const moved = (sign: number): number => {
          const value = tf.add(weights.get(name)!, tf.mul(gradient, (sign * step) / Math.max(length, 1e-12)));
          return lossAt(new Map([...weights, [name, value]])).dataSync()[0]!;
        };
        const slope = (moved(1) - moved(-1)) / (2 * step);
        // Batch norm takes away what a bias before it adds: there the gradient itself is rounding.
        expect(Math.abs(slope - length), name).toBeLessThan(2e-2 * Math.max(length, 5e-3));
      });
    });
    tf.dispose([...weights.values()]);
  });
});

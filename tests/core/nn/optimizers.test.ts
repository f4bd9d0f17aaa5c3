/** Ten steps of each optimizer against PyTorch's, rates jumping as at a restart. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { adamw, lion, type Optimizer, sgd } from "../../../core/nn/optimizers.js";
import { optimizers } from "../../../core/nn/optimizers-by-name.js";
import { makePart } from "../../../core/parts.js";
import { goldenJson, relativeDifference } from "../../golden/torch/read.js";
import { updateOnce } from "../../support/update-once.js";

type Group = "body" | "head";
type PerStep = Record<Group, number[][]>;

interface Case {
  name: string;
  optimizer: "sgd" | "adamw" | "lion";
  options: { momentum?: number; nesterov?: boolean; beta1?: number; beta2?: number; epsilon?: number };
  /** Coupled for "sgd", decoupled for the others. */
  weightDecay: Record<Group, number>;
  after: { float64: PerStep };
}

const golden = goldenJson<{
  learningRates: number[];
  rateFactor: Record<Group, number>;
  start: Record<Group, number[]>;
  gradients: PerStep;
  cases: Case[];
}>("optimizers.json");

const decoupled = { adamw, lion };

/** float32 against float64 over ten steps; the least of the known mistakes (epsilon misplaced) makes 1e-3. */
const tolerance = 2e-6;

/** Runs a group's ten steps and gives the vector after each. `couple` is the `l2` plugin's part: g + wd w. */
function steps(optimizer: Optimizer, group: Group, { couple = 0, decayFactor = 1 } = {}): number[][] {
  return tf.tidy(() => {
    let value: tf.Tensor = tf.tensor1d(golden.start[group]);
    let slots = optimizer.slots.map(() => tf.zerosLike(value));
    return golden.learningRates.map((rate, index) => {
      const gradient = tf.add(tf.tensor1d(golden.gradients[group][index]!), tf.mul(value, couple));
      const context = { rate: rate * golden.rateFactor[group], count: index + 1, decayFactor };
      [value, slots] = updateOnce(optimizer, value, gradient, slots, context);
      return [...value.dataSync()];
    });
  });
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(() => loadBackend({ name: backend }));

  describe.each(["body", "head"] as const)("%s", (group) => {
    it.each(golden.cases.map((each) => [each.name, each] as const))("%s", (_, each) => {
      const decay = each.weightDecay[group];
      const found =
        each.optimizer === "sgd"
          ? steps(makePart(sgd(each.options)), group, { couple: decay })
          : steps(makePart(decoupled[each.optimizer]({ ...each.options, weightDecay: each.weightDecay.body })), group, {
              decayFactor: Number(decay > 0),
            });
      for (const [step, wanted] of each.after.float64[group].entries()) {
        expect(relativeDifference(found[step]!, wanted), `step ${step}`).toBeLessThan(tolerance);
      }
    });
  });
});

describe("decay", () => {
  beforeAll(() => loadBackend({ name: "tensorflow" }));

  const still = (optimizer: Optimizer, decayFactor: number): number => {
    const zero = optimizer.slots.map(() => tf.zeros([1]));
    const context = { rate: 0.5, count: 1, decayFactor };
    const [next] = updateOnce(optimizer, tf.tensor1d([2]), tf.zeros([1]), zero, context);
    return next.dataSync()[0]!;
  };

  it.each([
    makePart(sgd({ weightDecay: 0.1 })),
    makePart(sgd({ momentum: 0, weightDecay: 0.1 })),
    makePart(adamw({ weightDecay: 0.1 })),
    makePart(lion({ weightDecay: 0.1 })),
  ])("alone shrinks by 1 - rate * decay: %o", (optimizer) => {
    expect(optimizer.weightDecay).toBe(0.1);
    expect(still(optimizer, 1)).toBe(Math.fround(2 * Math.fround(0.95)));
    expect(still(optimizer, 0.5)).toBe(Math.fround(2 * Math.fround(0.975)));
    expect(still(optimizer, 0)).toBe(2);
  });
});

describe("options", () => {
  it("are filled in, plain and named, so that a record can make the optimizer again", () => {
    const made = makePart(sgd({ nesterov: true }));
    expect(made.options).toEqual({ momentum: 0.9, nesterov: true, weightDecay: 0 });
    expect(makePart(optimizers.sgd(made.options))).toMatchObject({
      name: "sgd",
      options: made.options,
      slots: ["momentum"],
    });
    expect(makePart(sgd({ momentum: 0 })).slots).toEqual([]);
    expect(makePart(adamw()).options).toEqual({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
  });

  it("are checked", () => {
    expect(() => makePart(sgd({ momentun: 0.9 } as never))).toThrow(
      /unknown option "momentun" \(did you mean "momentum"\?\)/,
    );
    expect(() => makePart(sgd({ momentum: 1 }))).toThrow(/momentum/);
    expect(() => makePart(adamw({ epsilon: 0 }))).toThrow(/epsilon/);
  });
});

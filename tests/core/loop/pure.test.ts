/** `beforeStep` taps that say they are functions of tensors alone, and what becomes of one that is none. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { type Gradients, loadBackend, type Plugin, type Step, type TapOptions } from "../../../core/index.js";
import { createHooks } from "../../../core/loop/hook-set.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";

beforeAll(async () => void (await loadBackend({ name: "tensorflow" })));

/** Sixteen steps in two epochs, with one tap. */
async function run(options: TapOptions, factor: (step: Step) => number, capture = true) {
  const calls: number[] = [];
  const told: string[] = [];
  let done = 0; // a tap that asks its step for it is none for a graph
  const scaling: Plugin = {
    name: "scaling",
    options: {},
    apply: ({ hooks }) =>
      hooks.beforeStep.tap(options, (gradients: Gradients, step: Step) => {
        calls.push(done);
        return new Map([...gradients].map(([name, value]) => [name, tf.mul(value, factor(step))]));
      }),
  };
  const data = shapes({ classes: 4, size: 8, train: 64, test: 6 });
  const config = microConfig({ data, holdout: 0, epochs: 2, plugins: [scaling], capture, backend: "tensorflow" });
  const { hash } = await fitWeights(config, {
    before: ({ events }) => {
      events.on("warning", ({ message }) => void told.push(message));
      events.on("step", ({ step }) => (done = step));
    },
  });
  return { hash, calls, told };
}

describe("a pure tap", () => {
  it("is called while a step is recorded, and in the graph at every other one", async () => {
    const pure = await run({ pure: true }, () => 0.5);
    // Two recordings, a proof of the graph, and a look at the second epoch's beginning.
    expect(pure.calls).toEqual([0, 1, 2, 8]);
    expect(pure.told).toEqual([]);
    expect(pure.hash).toBe((await run({}, () => 0.5)).hash);
    expect(pure.hash).toBe((await run({ pure: true }, () => 0.5, false)).hash);
  });

  it("that uses a number of the step's is found out: the run is right, and says so once", async () => {
    const pure = await run({ pure: true }, ({ step }) => 1 / (1 + step));
    expect(pure.calls).toHaveLength(16);
    expect(pure.told).toEqual([
      expect.stringMatching(/^The optimizer's step runs operation by operation, .*: it looks at the step's step\.$/),
    ]);
    expect(pure.hash).toBe((await run({}, ({ step }) => 1 / (1 + step))).hash);
  });
});

describe("a number that is another one now and then", () => {
  it.each<[string, (step: Step) => number]>([
    ["after some steps", ({ step }) => (step < 4 ? 1 : 0.5)],
    ["with the images", ({ batch }) => (batch!.labels[0] === 0 ? 1 : 0.5)],
    ["with the rate", ({ learningRate }) => learningRate! * 3],
  ])("%s is not frozen", async (_, factor) => {
    const pure = await run({ pure: true }, factor);
    expect(pure.hash).toBe((await run({}, factor)).hash);
    expect(pure.told).toHaveLength(1);
  });

  it("with the epoch may be: the graph is made anew", async () => {
    const factor = ({ epoch }: Step): number => 1 / (1 + epoch);
    const pure = await run({ pure: true }, factor);
    expect(pure.hash).toBe((await run({}, factor)).hash);
    expect(pure.told).toEqual([]);
  });

  it("sees every weight, and running statistics too", async () => {
    const seen: boolean[] = [];
    const factor = ({ weights }: Step): number => (
      seen.push([...weights.keys()].some((name) => name.endsWith("running_mean"))), 1
    );
    await run({ pure: true }, factor);
    expect(seen).not.toContain(false);
  });
});

it("without the word, a tap is called at every step", async () => {
  expect((await run({}, () => 1)).calls).toHaveLength(16);
});

it("one tap that is not pure brings all of them out of the graph", () => {
  const hooks = createHooks({ seed: 1 });
  const { beforeStep, beforeBatch } = hooks.for("some", false);
  expect(hooks.isPure("beforeStep")).toBe(true);
  beforeStep.tap({ pure: true }, (gradients) => gradients);
  expect(hooks.isPure("beforeStep")).toBe(true);
  beforeStep.tap({ stage: "last" }, (gradients) => gradients);
  expect(hooks.isPure("beforeStep")).toBe(false);
  expect(() => beforeBatch.tap({ pure: true }, (batch) => batch)).toThrow(
    '"pure" is for "afterLoss" and "beforeStep" only',
  );
});

describe("a tap of the loss", () => {
  const losses = async (options: TapOptions, factor: () => number, capture = true) => {
    const told: string[] = [];
    let calls = 0;
    const scaling: Plugin = {
      name: "scaling",
      options: {},
      apply: ({ hooks }) => hooks.afterLoss.tap(options, (loss) => (calls++, tf.mul(loss, factor()) as tf.Scalar)),
    };
    const data = shapes({ classes: 4, size: 8, train: 64, test: 6 });
    const config = microConfig({ data, holdout: 0, epochs: 2, plugins: [scaling], capture, backend: "tensorflow" });
    const { hash } = await fitWeights(config, {
      before: ({ events }) => events.on("warning", ({ message }) => void told.push(message)),
    });
    return { hash, calls, told };
  };

  it("that says it is pure is part of the graph", async () => {
    const pure = await losses({ pure: true }, () => 0.5);
    expect(pure).toMatchObject({ calls: 4, told: [] });
    expect(pure.hash).toBe((await losses({ pure: true }, () => 0.5, false)).hash);
  });

  it("that does not is called at every step, and may change when it likes", async () => {
    const seldom = () => {
      let call = 0;
      return (): number => (call++ < 6 ? 1 : 0.5);
    };
    const plain = await losses({}, seldom());
    expect(plain).toMatchObject({
      calls: 16,
      told: [expect.stringMatching(/operation by operation, .*"afterLoss" does not say/)],
    });
    expect(plain.hash).toBe((await losses({}, seldom(), false)).hash);
  });
});

/** R17: a step whose numbers are not finite is found in that step and never applied; and what a run may do then. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import type { Data } from "../../../core/data/dataset.js";
import { shapes } from "../../../core/data/index.js";
import { type Gradients, loadBackend, type Plugin, Trainer, type TrainerConfig } from "../../../core/index.js";
import type { Divergence } from "../../../core/loop/divergence.js";
import type { Events } from "../../../core/loop/events.js";
import type { Position } from "../../../core/loop/position.js";
import { airbench, resnet9, resnet18 } from "../../../core/models/index.js";
import { fitWeights, microConfig, weightsHash } from "../../../core/testing/index.js";
import { ema, gradientAccumulation } from "../../../plugins/index.js";
import { nanOnce } from "../../support/nan-once.js";

beforeAll(async () => void (await loadBackend()));

type Where = "loss" | "gradient" | "statistics" | "pixel" | "weight" | "rate";

/** Puts `value` in one place of the steps whose micro-batch is listed. */
const fault = (where: Where, value: number, microBatches: readonly number[]): Plugin => ({
  name: "fault",
  options: {},
  apply({ hooks }) {
    const hit = (step: { microBatch: number }): boolean => microBatches.includes(step.microBatch);
    const spoiled = <T extends tf.Tensor>(tensor: T): T => {
      const values = tensor.dataSync().slice();
      values[0] = value;
      return tf.tensor(values, tensor.shape) as T;
    };
    if (where === "loss") hooks.afterLoss.tap((loss, step) => (hit(step) ? (tf.mul(loss, value) as tf.Scalar) : loss));
    if (where === "pixel") {
      hooks.beforeBatch.tap((batch, step) => (hit(step) ? { ...batch, images: spoiled(batch.images) } : batch));
    }
    if (where === "gradient") {
      hooks.afterBackward.tap((gradients, step): Gradients => {
        const [[first, gradient]] = gradients as unknown as [[string, tf.Tensor]];
        return hit(step) ? new Map([...gradients, [first, spoiled(gradient)]]) : gradients;
      });
    }
    if (where === "rate") {
      hooks.resolveLearningRate.tap((rate, { step }) => (microBatches.includes(step) ? value : rate));
    }
  },
});

it.each([
  ["airbench", airbench()],
  ["resnet9", resnet9({ width: 2 })],
  ["resnet18, ImageNet's stem", resnet18({ width: 2, stem: "imagenet" })],
])("one NaN pixel ends the first step of %s, whose max pools hide it", async (_, model) => {
  const data = shapes({ classes: 4, size: 32, train: 4, test: 2 });
  const config = microConfig({ data, model, batchSize: 4, holdout: 0, plugins: [fault("pixel", Number.NaN, [0])] });
  await expect(new Trainer(config).fit()).rejects.toMatchObject({
    code: "ERR_DIVERGED",
    divergence: { first: "the images", step: 0 },
  });
});

interface Outcome {
  error?: { code?: string; message: string; divergence?: Divergence };
  diverged: Divergence[];
  warnings: string[];
  /** Of the weights before the failing step, and after the run. */
  before?: string;
  after: string;
  steps: number;
  position: Position;
}

async function outcome(config: Partial<TrainerConfig>): Promise<Outcome> {
  const trainer = new Trainer(microConfig({ epochs: 3, ...config }));
  const found: Outcome = { diverged: [], warnings: [], after: "", steps: 0, position: undefined as never };
  const on = <K extends keyof Events>(name: K, handler: (event: Events[K]) => void): void =>
    trainer.events.on(name, handler);
  on("diverged", (event) => found.diverged.push(event));
  on("warning", ({ message }) => found.warnings.push(message));
  on("step", () => void found.steps++);
  let last: string | undefined;
  const fit = trainer.fit({
    onResumePoint(snapshot, point) {
      if (point === "stop") found.after = weightsHash(snapshot.weights);
      else last = weightsHash(snapshot.weights);
      found.before = last;
      found.position = snapshot.position;
    },
  });
  await fit.then(
    ({ dispose }) => dispose(),
    (error: Outcome["error"]) => (found.error = error),
  );
  return found;
}

describe("halt, the default", () => {
  it.each([
    ["loss", Number.NaN, "loss"],
    ["loss", Number.POSITIVE_INFINITY, "loss"],
    ["loss", Number.NEGATIVE_INFINITY, "loss"],
    ["gradient", Number.NaN, "gradient norm"],
    ["gradient", Number.POSITIVE_INFINITY, "gradient norm"],
    ["gradient", Number.NEGATIVE_INFINITY, "gradient norm"],
    ["pixel", Number.NaN, "loss"],
    ["pixel", Number.POSITIVE_INFINITY, "loss"],
    ["pixel", Number.NEGATIVE_INFINITY, "loss"],
  ] as const)("%s of %d: found in the same step, which is not applied", async (where, value, what) => {
    const { error, diverged, before, after, steps } = await outcome({ plugins: [fault(where, value, [3])] });
    expect(error).toMatchObject({ code: "ERR_DIVERGED", exitCode: 76 });
    expect(steps).toBe(3);
    expect(after).toBe(before);
    expect(diverged).toHaveLength(1);
    expect(diverged[0]).toMatchObject({ what, epoch: 1, step: 3, microBatch: 3, learningRate: 0.05 });
    expect(diverged[0]!.samples.length).toBe(6);
    expect(Number.isFinite(diverged[0]!.value)).toBe(false);
  });

  it("names the images of the micro-batch, with their indices in the training data", async () => {
    let seen: { labels: number[]; images: string[] } | undefined;
    const look: Plugin = {
      name: "look",
      options: {},
      apply({ hooks }) {
        let data: Data;
        let trained: Int32Array;
        hooks.onFitStart.tap((fit) => void ({ data, trainIndices: trained } = fit));
        hooks.beforeBatch.tap((batch) => {
          const indices = Array.from(batch.indices, (place) => trained[place]!);
          const images = indices.map((index) => data.train.describe(index));
          seen = { labels: indices.map((index) => data.train.labels[index]!), images };
          expect(seen.labels).toEqual([...batch.labels]);
          return batch;
        });
      },
    };
    const { diverged, error } = await outcome({ holdout: 0.4, plugins: [look, fault("loss", Number.NaN, [0])] });
    expect(diverged[0]!.images).toEqual(seen!.images);
    expect(error!.message).toContain(`${seen!.images[0]} (${diverged[0]!.samples[0]}), `);
  });

  it.each([
    ["pixel", /the images/],
    ["gradient", /the gradient of stem/],
  ] as const)("names the first tensor that is not finite: %s", async (where, text) => {
    const { error, diverged } = await outcome({ plugins: [fault(where, Number.NaN, [3])] });
    expect(diverged[0]!.first).toMatch(text);
    expect(error!.message).toContain(diverged[0]!.first);
  });

  it.each([
    ["running_mean", Number.NaN],
    ["running_mean", Number.POSITIVE_INFINITY],
    ["running_mean", Number.NEGATIVE_INFINITY],
    ["running_var", Number.NaN],
    ["running_var", Number.POSITIVE_INFINITY],
  ])("finds a %s of %d although the loss is as it was", async (which, spoiled) => {
    const config = microConfig();
    const trainer = new Trainer(config);
    // Training normalises by the batch: running statistics of NaN would only show in an evaluation.
    trainer.hooks.for("spoiler", false).onFitStart.tap(({ weights, replaceWeights }) => {
      const [name, value] = [...weights()].find(([key]) => key.endsWith(which))!;
      replaceWeights(new Map([[name, tf.fill(value.shape, spoiled)]]));
    });
    const failed = trainer.fit();
    await expect(failed).rejects.toMatchObject({ code: "ERR_DIVERGED" });
    await expect(failed).rejects.toThrow(new RegExp(`running statistics.*the weight .*${which}`));
  });

  it.each([1e20, 3e38])("with a learning rate of %d ends in that very step, which is not applied", async (rate) => {
    for (const microBatch of [1, 3]) {
      const { error, after, before, diverged, steps } = await outcome({ plugins: [fault("rate", rate, [microBatch])] });
      expect(error).toMatchObject({
        code: "ERR_DIVERGED",
        exitCode: 76,
        message: expect.stringContaining("new weights' squares"),
      });
      expect(steps).toBe(microBatch);
      expect(after).toBe(before);
      expect(diverged[0]).toMatchObject({ learningRate: rate, step: microBatch });
    }
  });

  it("within a window: a gradient is found in its own micro-batch, with its images", async () => {
    const plugins = [fault("gradient", Number.NaN, [1]), gradientAccumulation({ factor: 3 })];
    const { diverged, after, before } = await outcome({ batchSize: 4, plugins });
    expect(diverged).toMatchObject([
      { microBatch: 1, what: "sum of the gradients' squares", first: expect.stringMatching(/^the gradient of /) },
    ]);
    expect(after).toBe(before);
  });
});

describe("skip", () => {
  it("leaves the micro-batch out, says so, and goes on", async () => {
    const plugins = [fault("loss", Number.NaN, [2, 4])];
    const { error, diverged, warnings, steps } = await outcome({ plugins, onDivergence: { skip: 1 } });
    expect(error).toBeUndefined();
    expect(diverged.map(({ microBatch }) => microBatch)).toEqual([2, 4]);
    expect(warnings.join()).toContain("The run skips this micro-batch");
    expect(steps).toBe(4);
  });

  it.each([
    ["loss", Number.NEGATIVE_INFINITY],
    ["gradient", Number.NaN],
    ["gradient", Number.POSITIVE_INFINITY],
    ["pixel", Number.NaN],
    ["pixel", Number.NEGATIVE_INFINITY],
  ] as const)("goes on past a %s of %d with finite weights", async (where, value) => {
    const { error, diverged, after, before } = await outcome({
      plugins: [fault(where, value, [1]), ema({ decay: 0.5 })],
      onDivergence: { skip: 1 },
    });
    expect(error).toBeUndefined();
    expect(diverged).toHaveLength(1);
    expect(after).toBe(before);
    const plain = await fitWeights(microConfig({ plugins: [fault(where, value, [1])], onDivergence: { skip: 1 } }));
    expect(Object.values(plain.weights).flat().every(Number.isFinite)).toBe(true);
  });

  it("ends the run after more than n in a row", async () => {
    const plugins = [fault("loss", Number.NaN, [2, 3, 4])];
    expect((await outcome({ plugins, onDivergence: { skip: 2 } })).error).toMatchObject({ code: "ERR_DIVERGED" });
    expect((await outcome({ plugins, onDivergence: { skip: 3 } })).error).toBeUndefined();
  });

  it("leaves out a whole window where its last micro-batch fails: nothing of it is in the next step", async () => {
    const said: number[] = [];
    const images = async (...microBatches: number[]): Promise<number[]> => {
      const plugins = [fault("loss", Number.NaN, microBatches), gradientAccumulation({ factor: 2 })];
      const trainer = new Trainer(
        microConfig({ batchSize: 4, epochs: 1, holdout: 0, plugins, onDivergence: { skip: 1 } }),
      );
      said.length = 0;
      trainer.events.on("step", ({ samples }) => said.push(samples));
      await trainer.fit();
      return [...said];
    };
    expect(await images()).toEqual([8, 8, 2]);
    expect(await images(1)).toEqual([8, 2]);
    expect(await images(0)).toEqual([4, 8, 2]);
  });

  it("takes back what plugins took in from the failed step", async () => {
    // The sums of an accumulation window must not hold the gradients of a step that then failed.
    const late: Plugin = {
      name: "fails-late",
      options: {},
      apply({ hooks }) {
        hooks.afterBackward.tap({ stage: "last" }, (gradients, { microBatch }) => {
          if (microBatch !== 1) return gradients;
          const [[name, gradient]] = gradients as unknown as [[string, tf.Tensor]];
          return new Map([...gradients, [name, tf.mul(gradient, Number.NaN)]]);
        });
      },
    };
    const plugins = [gradientAccumulation({ factor: 2 }), ema({ decay: 0.5 }), late];
    const { error, diverged } = await outcome({ batchSize: 4, plugins, onDivergence: { skip: 1 } });
    expect(error).toBeUndefined();
    expect(diverged).toHaveLength(1);
  });
});

describe("rollback", () => {
  it("goes back to the epoch's beginning with a lower rate, and on", async () => {
    const rates: number[] = [];
    const trainer = new Trainer(
      microConfig({ plugins: [fault("loss", Number.NaN, [3])], onDivergence: { rollback: 2, factor: 0.1 } }),
    );
    trainer.events.on("step", ({ step, learningRate }) => void (rates[step] = learningRate));
    // The fault is in the data, so it comes again: both rollbacks are used up.
    await expect(trainer.fit()).rejects.toMatchObject({ code: "ERR_DIVERGED" });
    expect(rates[2]).toBeCloseTo(0.05);
    expect(rates[3]).toBeCloseTo(0.05 * 0.1 * 0.1);
  });

  it("gives the run that would have been made with the lower rate from there", async () => {
    const { plugin: once, faults } = nanOnce(3);
    const lower: Plugin = {
      name: "lower",
      options: {},
      apply: ({ hooks }) => hooks.resolveLearningRate.tap((rate, { epoch }) => (epoch === 0 ? rate : rate * 0.5)),
    };
    const plugins = [ema({ decay: 0.5 })];
    const rolledBack = await fitWeights(
      microConfig({ plugins: [...plugins, once], onDivergence: { rollback: 1, factor: 0.5 } }),
    );
    const reference = await fitWeights(microConfig({ plugins: [...plugins, lower] }));
    expect(faults()).toBeGreaterThan(0);
    expect(rolledBack.hash).toBe(reference.hash);
  });
});

it("leaves no tensor behind, whatever it does", async () => {
  const before = tf.memory().numTensors;
  for (const onDivergence of ["halt", { skip: 2 }, { rollback: 1, factor: 0.5 }] as const) {
    await outcome({ plugins: [ema(), fault("gradient", Number.NaN, [3])], onDivergence });
    expect(tf.memory().numTensors).toBe(before);
  }
});

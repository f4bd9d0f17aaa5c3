/** The laws of a whole run. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type DataSource, type Split, shapes } from "../../../core/data/index.js";
import { type FitSummary, hookNames, loadBackend, type Plugin, sgd, stream, Trainer } from "../../../core/index.js";
import { makePart } from "../../../core/parts.js";
import { fitWeights, microConfig, microNet } from "../../../core/testing/index.js";

beforeAll(async () => void (await loadBackend()));

const plugin = (name: string, apply: Plugin["apply"], more: Partial<Plugin> = {}): Plugin => ({
  name,
  options: {},
  apply,
  ...more,
});

describe("a run", () => {
  it("is a function of its config: the same twice, another with another seed", async () => {
    const [first, again, other] = [
      await fitWeights(microConfig()),
      await fitWeights(microConfig()),
      await fitWeights(microConfig({ seed: 2 })),
    ];
    expect(again.hash).toBe(first.hash);
    expect(comparable(again.summary)).toEqual(comparable(first.summary));
    expect(other.hash).not.toBe(first.hash);
  });

  it("is not moved by looking: evaluating seldom leaves the weights as they are", async () => {
    const often = await fitWeights(microConfig({ epochs: 4 }));
    const seldom = await fitWeights(microConfig({ epochs: 4, evaluateEvery: 3 }));
    expect(seldom.hash).toBe(often.hash);
    expect(seldom.summary.test?.loss).toBe(often.summary.test?.loss);
  });

  it("evaluates true labels: what mixes or smooths targets in training changes no figure of one set of weights", async () => {
    const rate = 1e-30; // trains, and moves nothing
    const extreme = plugin("extreme", ({ hooks }) => {
      hooks.beforeBatch.tap((batch) => ({ ...batch, targets: tf.div(tf.onesLike(batch.targets), 4) }));
    });
    const still = microConfig({ learningRate: rate, model: microNet({ norm: false }) });
    const [plain, mixed] = [await fitWeights(still), await fitWeights({ ...still, plugins: [extreme] })];
    expect(mixed.summary.test).toEqual(plain.summary.test);
    expect(mixed.summary.validation).toEqual(plain.summary.validation);
  });

  it("learns", async () => {
    const losses: number[] = [];
    await fitWeights(microConfig({ epochs: 40, holdout: 0 }), {
      before: ({ events }) => events.on("epoch:end", ({ train }) => losses.push(train.loss)),
    });
    expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
  });

  it("learns nothing from labels that mean nothing", async () => {
    const data = shapes({ classes: 4, size: 8, train: 240, test: 200 });
    const permuted = (split: Split, salt: number): Split => ({
      ...split,
      labels: split.labels.map((_, index) => stream(1, "canary", salt, index).int(4)),
    });
    const shuffled: DataSource = {
      name: "permuted",
      options: {},
      async load(context) {
        const loaded = await makePart(data).load(context);
        return { ...loaded, train: permuted(loaded.train, 1), test: permuted(loaded.test!, 2) };
      },
    };
    const config = microConfig({ epochs: 20, batchSize: 24 });
    const [true_, false_] = [await fitWeights({ ...config, data }), await fitWeights({ ...config, data: shuffled })];
    const chance = 1 / 4;
    const sigma = Math.sqrt((chance * (1 - chance)) / 200);
    expect(Math.abs(false_.summary.test!.top1 - chance)).toBeLessThan(3 * sigma);
    expect(true_.summary.test!.top1, "and something from those that do").toBeGreaterThan(chance + 6 * sigma);
  });

  it("fires its hooks in the order that docs/hooks.md tells", async () => {
    const fired: string[] = [];
    const note = <T>(hook: string, value: T): T => {
      if (fired.at(-1) !== hook) fired.push(hook);
      return value;
    };
    const observer = plugin("order", ({ hooks }) => {
      hooks.resolveGroup.tap((value) => note("resolveGroup", value));
      hooks.buildBlock.tap((value) => note("buildBlock", value));
      hooks.buildHead.tap((value) => note("buildHead", value));
      hooks.buildNetwork.tap((value) => note("buildNetwork", value));
      hooks.onFitStart.tap(() => note("onFitStart", undefined));
      hooks.resolveParamGroups.tap((value) => note("resolveParamGroups", value));
      hooks.beforeSample.tap((value) => note("beforeSample", value));
      hooks.beforeBatch.tap((value) => note("beforeBatch", value));
      hooks.afterLoss.tap((value) => note("afterLoss", value));
      hooks.afterBackward.tap((value) => note("afterBackward", value));
      hooks.shouldStep.tap(() => note("shouldStep", undefined));
      hooks.resolveLearningRate.tap((value) => note("resolveLearningRate", value));
      hooks.beforeStep.tap((value) => note("beforeStep", value));
      hooks.afterStep.tap((value) => note("afterStep", value));
      hooks.onStep.tap(() => note("onStep", undefined));
      hooks.beforeEvaluate.tap((value) => note(`beforeEvaluate(${value.purpose})`, value));
      hooks.afterEvaluate.tap((value) => note("afterEvaluate", value));
      hooks.onEpochEnd.tap(() => note("onEpochEnd", undefined));
      hooks.shouldStop.tap(() => note("shouldStop", undefined));
      hooks.onFitEnd.tap(() => note("onFitEnd", undefined));
    });
    await fitWeights(microConfig({ epochs: 1, batchSize: 14, plugins: [observer] }));
    expect(fired).toEqual([
      "resolveGroup",
      "buildBlock",
      "buildHead",
      "buildNetwork",
      "shouldStep",
      "onFitStart",
      "resolveParamGroups",
      "beforeSample",
      "beforeBatch",
      "afterLoss",
      "afterBackward",
      "shouldStep",
      "resolveLearningRate",
      "beforeStep",
      "afterStep",
      "onStep",
      "beforeEvaluate(validation)",
      "afterEvaluate",
      "onEpochEnd",
      "shouldStop",
      "beforeEvaluate(final)",
      "afterEvaluate",
      "onFitEnd",
    ]);
  });
});

describe("the end of a run", () => {
  const ends = (name: string, log: string[], fails = false): Plugin =>
    plugin(name, ({ hooks }) => {
      hooks.onFitEnd.tap(async ({ stopReason }) => {
        log.push(`${name}: ${stopReason}`);
        if (fails) throw new Error("cannot write");
      });
      return { dispose: () => void log.push(`${name} disposed`) };
    });

  it("reaches every onFitEnd and every dispose once, also after a failure, and one's failure skips no other", async () => {
    const log: string[] = [];
    const breaks = plugin("breaks", ({ hooks }) => {
      hooks.onStep.tap(({ step }) => {
        if (step === 1) throw new Error("gone");
      });
    });
    const warnings: string[] = [];
    const { numTensors, numBytes } = tf.memory();
    const trainer = new Trainer(microConfig({ plugins: [ends("a", log, true), breaks, ends("b", log)] }));
    trainer.events.on("warning", ({ message }) => warnings.push(message));
    await expect(trainer.fit()).rejects.toMatchObject({
      code: "ERR_PLUGIN",
      plugin: "breaks",
      hook: "onStep",
      exitCode: 70,
    });
    const why = 'failed: Plugin "breaks" failed in hook "onStep": gone';
    expect(log).toEqual([`a: ${why}`, `b: ${why}`, "a disposed", "b disposed"]);
    expect(warnings).toEqual(['Plugin "a" failed in hook "onFitEnd": cannot write']);
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });

  it("disposes of plugins also when the data cannot be loaded", async () => {
    const log: string[] = [];
    const data = { name: "broken", options: {}, load: () => Promise.reject(new Error("no such file")) };
    await expect(new Trainer(microConfig({ data, plugins: [ends("a", log)] })).fit()).rejects.toThrow("no such file");
    expect(log).toEqual(["a disposed"]);
  });

  it("comes once: a trainer fits once", async () => {
    const trainer = new Trainer(microConfig({ epochs: 1 }));
    await trainer.fit();
    await expect(trainer.fit()).rejects.toThrow(
      "A Trainer fits once. To train again, make a new Trainer of the same config.",
    );
  });

  it("is ERR_DIVERGED when the loss is no number, with the step that was not applied", async () => {
    const config = microConfig({
      learningRate: 1e30,
      model: microNet({ norm: false }),
      optimizer: sgd({ momentum: 0 }),
    });
    await expect(fitWeights(config)).rejects.toMatchObject({ code: "ERR_DIVERGED", exitCode: 76 });
  });

  it("comes after the step under way when a signal stops it, and reads no test set then", async () => {
    const stop = new AbortController();
    const { summary } = await fitWeights(microConfig({ epochs: 50 }), {
      signal: stop.signal,
      before: ({ events }) => events.on("step", ({ step }) => step === 3 && stop.abort("SIGINT")),
    });
    expect(summary).toMatchObject({ steps: 3, epochs: 1, stopReason: "interrupted (SIGINT)" });
    expect(summary.test).toBeUndefined();
  });

  it("comes at the first reason to stop, and after so many steps", async () => {
    const enough = plugin("enough", ({ hooks }) => {
      hooks.shouldStop.tap(({ epoch }) => (epoch === 1 ? "enough" : undefined));
    });
    const stopped = await fitWeights(microConfig({ epochs: 9, plugins: [enough] }));
    expect(stopped.summary).toMatchObject({ epochs: 2, steps: 4, stopReason: "enough" });
    const counted = await fitWeights(microConfig({ epochs: 9, maxSteps: 3 }));
    expect(counted.summary).toMatchObject({ epochs: 1, steps: 3, stopReason: "max steps" });
    expect(counted.summary.test?.count).toBe(6);
    const whole = await fitWeights(microConfig({ epochs: 9, maxSteps: 4 }));
    expect(whole.summary).toMatchObject({ epochs: 2, steps: 4, stopReason: "max steps" });
  });

  it("waits for no further step when the signal comes during an evaluation", async () => {
    const stop = new AbortController();
    const { summary } = await fitWeights(microConfig({ epochs: 9 }), {
      signal: stop.signal,
      before: ({ events }) => events.on("evaluate:end", () => stop.abort("SIGTERM")),
    });
    expect(summary).toMatchObject({ steps: 2, epochs: 1, stopReason: "interrupted (SIGTERM)" });
  });
});

describe("an observer", () => {
  it("that fails is switched off with a warning, and the run goes on to the same bits", async () => {
    const quiet = await fitWeights(microConfig());
    let calls = 0;
    const clumsy = plugin(
      "clumsy",
      ({ hooks }) => {
        hooks.beforeStep.tap(() => new Map());
        hooks.onStep.tap(() => void calls++);
        hooks.onEpochEnd.tap(() => void calls++);
      },
      { observer: true },
    );
    const warnings: string[] = [];
    const watched = await fitWeights(microConfig({ plugins: [clumsy] }), {
      before: ({ events }) => events.on("warning", ({ message }) => warnings.push(message)),
    });
    expect(watched.hash).toBe(quiet.hash);
    expect(calls).toBe(0);
    expect(warnings).toEqual([
      'Plugin "clumsy" failed in hook "beforeStep": expected 6 gradients, got 0. It is switched off.',
    ]);
  });
});

describe("what a summary says of a plugin's time", () => {
  it("is measured for each plugin, and named by it", async () => {
    const slow = plugin("slow", ({ hooks }) => {
      hooks.onStep.tap(() => {
        const since = performance.now();
        while (performance.now() - since < 5);
      });
    });
    const { summary } = await fitWeights(microConfig({ plugins: [slow] }));
    expect(summary.costs.slow!.millisecondsPerStep).toBeGreaterThanOrEqual(5);
    expect(summary.costs.slow!.share).toBeGreaterThan(0);
    expect(summary.costs.slow!.share).toBeLessThanOrEqual(1);
  });
});

describe("the loop", () => {
  it("has these hooks", () => {
    expect(hookNames).toMatchInlineSnapshot(`
      [
        "resolveGroup",
        "buildBlock",
        "buildHead",
        "buildNetwork",
        "onFitStart",
        "resolveParamGroups",
        "resolveOrder",
        "resolveCrop",
        "beforeSample",
        "beforeBatch",
        "afterLoss",
        "afterBackward",
        "shouldStep",
        "resolveLearningRate",
        "beforeStep",
        "afterStep",
        "onStep",
        "beforeEvaluate",
        "afterEvaluate",
        "onEpochEnd",
        "shouldStop",
        "onFitEnd",
      ]
    `);
  });
});

/** A summary without what the clock decides. */
function comparable({ seconds: _, imagesPerSecond: __, costs: ___, ...rest }: FitSummary): Partial<FitSummary> {
  return rest;
}

/** R20: a plugin that leaks tensors is told, with the hook it leaks in; and one that does not never is. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Hooks, loadBackend, type Plugin, type PluginInstance, Trainer } from "../../../core/index.js";
import { createLeakDetector } from "../../../core/loop/leaks.js";
import type { Given } from "../../../core/parts.js";
import { microConfig } from "../../../core/testing/index.js";
import { ema, gradientAccumulation } from "../../../plugins/index.js";

beforeAll(async () => void (await loadBackend()));

const made: tf.Tensor[] = [];
const leak = (): void => void made.push(tf.keep(tf.scalar(1)));

interface Told {
  messages: string[];
  /** Calls of the leaking function when it was told first; steps done. */
  calls: number;
  steps: number;
}

/** A run with one plugin that `act`s at every call of what it taps. */
async function run(
  apply: (hooks: Hooks, call: () => void) => PluginInstance | void,
  { act = leak, epochs = 4, observer = false, plugins = [] as Given<Plugin>[], keep = false } = {},
): Promise<Told> {
  let calls = 0;
  const call = (): void => {
    calls++;
    act();
  };
  const leaky: Plugin = { name: "leaky", options: {}, observer, apply: ({ hooks }) => apply(hooks, call) };
  const trainer = new Trainer(microConfig({ epochs, plugins: [...plugins, leaky] }));
  const told: Told = { messages: [], calls: 0, steps: 0 };
  let steps = 0;
  trainer.events.on("step", ({ step }) => (steps = step));
  trainer.events.on("warning", ({ message }) => {
    if (!/leaks|left .* behind/.test(message)) return;
    if (told.messages.length === 0) Object.assign(told, { calls, steps: steps + 1 }); // the step under way is told of later
    told.messages.push(message);
  });
  const { dispose } = await trainer.fit(keep ? { onResumePoint: () => undefined } : {});
  dispose();
  expect(calls).toBeGreaterThan(0);
  tf.dispose(made.splice(0));
  return told;
}

const leaks = (where: string) => new RegExp(`^Plugin "leaky" leaks: it holds \\d+ tensors, .* made in ${where}\\.`);
const left = (where: string) => new RegExp(`^Plugin "leaky" left \\d+ tensors behind, made in ${where}\\.`);

describe("a tensor a call", () => {
  it.each<[string, (hooks: Hooks, call: () => void) => void]>([
    ["beforeSample", ({ beforeSample }, call) => beforeSample.tap((value) => (call(), value))],
    ["beforeBatch", ({ beforeBatch }, call) => beforeBatch.tap((value) => (call(), value))],
    ["afterLoss", ({ afterLoss }, call) => afterLoss.tap((value) => (call(), tf.mul(value, 1)))],
    ["afterBackward", ({ afterBackward }, call) => afterBackward.tap((value) => (call(), value))],
    ["shouldStep", ({ shouldStep }, call) => shouldStep.tap(() => void call() as undefined)],
    ["resolveLearningRate", ({ resolveLearningRate }, call) => resolveLearningRate.tap((value) => (call(), value))],
    ["beforeStep", ({ beforeStep }, call) => beforeStep.tap((value) => (call(), value))],
    ["onStep", ({ onStep }, call) => onStep.tap(call)],
  ])("is found in the third step: %s", async (hook, apply) => {
    const { messages, steps } = await run(apply);
    expect(messages).toEqual([expect.stringMatching(leaks(`hook "${hook}"`))]);
    expect(steps).toBe(3);
  });

  it.each<[string, (hooks: Hooks, call: () => void) => void]>([
    ["resolveParamGroups", ({ resolveParamGroups }, call) => resolveParamGroups.tap((value) => (call(), value))],
    ["beforeEvaluate", ({ beforeEvaluate }, call) => beforeEvaluate.tap((value) => (call(), value))],
    ["afterEvaluate", ({ afterEvaluate }, call) => afterEvaluate.tap((value) => (call(), value))],
    ["onEpochEnd", ({ onEpochEnd }, call) => onEpochEnd.tap(call)],
    ["shouldStop", ({ shouldStop }, call) => shouldStop.tap(() => void call() as undefined)],
    [
      "onEpochEnd",
      ({ onEpochEnd }, call) =>
        onEpochEnd.tap(async () => {
          await new Promise(setImmediate);
          call(); // after what was awaited
        }),
    ],
  ])("is found by the third epoch: %s", async (hook, apply) => {
    const { messages, calls } = await run(apply);
    expect(messages).toEqual([expect.stringMatching(leaks(`hook "${hook}"`))]);
    expect(calls).toBe(3);
  });

  it("is found in save, where a run keeps checkpoints", async () => {
    const { messages } = await run((_, call) => ({ save: () => (call(), {}), load: () => undefined }), { keep: true });
    expect(messages).toEqual([expect.stringMatching(leaks("its save"))]);
  });
});

describe("what is called once a run", () => {
  it.each<[string, (hooks: Hooks, call: () => void) => void]>([
    ["its apply", (_, call) => call()],
    ['hook "buildBlock"', ({ buildBlock }, call) => buildBlock.tap((value) => (call(), value))],
    ['hook "buildHead"', ({ buildHead }, call) => buildHead.tap((value) => (call(), value))],
    ['hook "buildNetwork"', ({ buildNetwork }, call) => buildNetwork.tap((value) => (call(), value))],
    ['hook "onFitStart"', ({ onFitStart }, call) => onFitStart.tap(call)],
    ['hook "onFitEnd"', ({ onFitEnd }, call) => onFitEnd.tap(call)],
  ])("is found when the plugin has been disposed of: %s", async (where, apply) => {
    const { messages } = await run(apply);
    expect(messages).toEqual([expect.stringMatching(left(where))]);
  });
});

describe("leaks of other kinds", () => {
  const onStep = ({ onStep: hook }: Hooks, call: () => void): void => hook.tap(call);

  it("a tensor every thousand calls is found by the third", async () => {
    let call = 0;
    const act = (): void => void (++call % 1000 === 0 && leak());
    const apply = ({ beforeSample }: Hooks, tick: () => void): void => beforeSample.tap((value) => (tick(), value));
    const { messages, calls } = await run(apply, { act, epochs: 230 });
    expect(messages).toEqual([expect.stringMatching(leaks('hook "beforeSample"'))]);
    expect(calls).toBeLessThan(3000 + 2 * 14);
  });

  it("variables", async () => {
    const { messages } = await run(onStep, { act: () => void made.push(tf.variable(tf.scalar(1))) });
    expect(messages).toEqual([expect.stringMatching(leaks('hook "onStep"'))]);
  });

  it("what the step made, kept", async () => {
    const apply = ({ beforeBatch }: Hooks, call: () => void): void =>
      beforeBatch.tap((batch) => {
        call();
        made.push(tf.keep(batch.targets));
        return batch;
      });
    const { messages } = await run(apply, { act: () => undefined });
    expect(messages).toEqual([expect.stringMatching(leaks('hook "beforeBatch"'))]);
  });

  it("on the way to a failure", async () => {
    const act = (): void => {
      leak();
      throw new Error("as told");
    };
    const { messages } = await run(onStep, { act, observer: true });
    expect(messages).toEqual([expect.stringMatching(left('hook "onStep"'))]);
  });

  it("beside plugins that keep tensors rightly", async () => {
    const plugins = [ema(), gradientAccumulation({ factor: 2 })];
    const { messages } = await run(onStep, { plugins, epochs: 8 });
    expect(messages).toEqual([expect.stringMatching(leaks('hook "onStep"'))]);
  });
});

describe("what is no leak", () => {
  it.each<[string, (hooks: Hooks, call: () => void) => PluginInstance | void, (() => void)?]>([
    ["tensors of the step", ({ onStep }, call) => onStep.tap(call), () => void tf.scalar(1)],
    [
      "gradients of a loss of its own",
      ({ afterLoss }, call) => afterLoss.tap((value) => (call(), tf.add(value, tf.exp(tf.neg(value))) as tf.Scalar)),
      () => undefined,
    ],
    [
      "a state that is made once, and freed at the end",
      ({ onStep }, call) => {
        let own: tf.Tensor | undefined;
        onStep.tap(() => {
          call();
          const before = own;
          own = tf.keep(tf.add(own ?? 0, 1));
          before?.dispose();
        });
        return { dispose: () => own?.dispose() };
      },
      () => undefined,
    ],
    [
      "what comes in one hook and goes in another",
      ({ beforeBatch, onStep }, call) => {
        const kept: tf.Tensor[] = [];
        beforeBatch.tap((batch) => {
          call();
          for (let count = 0; count < 9; count++) kept.push(tf.keep(tf.scalar(count)));
          return batch;
        });
        onStep.tap(() => tf.dispose(kept.splice(0)) as undefined);
        return { dispose: () => tf.dispose(kept) };
      },
      () => undefined,
    ],
  ])("%s", async (_, apply, act) => {
    expect((await run(apply, { act })).messages).toEqual([]);
  });

  it("what another trainer does while a tap waits", async () => {
    const said: string[] = [];
    const detector = createLeakDetector((message) => said.push(message));
    const other = createLeakDetector((message) => said.push(message));
    for (let epoch = 0; epoch < 5; epoch++) {
      await detector.watchAsync("waits", "onEpochEnd", async () =>
        other.watch("works", "onFitStart", () => made.push(tf.scalar(1))),
      );
      detector.check();
    }
    detector.close("waits");
    expect(said).toEqual([]);
    tf.dispose(made.splice(0));
  });
});

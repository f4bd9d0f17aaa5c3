/** `maxTime`: the schedule follows the time of training. The clock is a fake one: only a step makes it move. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { resolveConfig, type TrainerConfig } from "../../../core/config/config.js";
import { secondsOf } from "../../../core/config/settings.js";
import { imageFolder, shapes } from "../../../core/data/index.js";
import { alone, type Events, loadBackend, type Plugin } from "../../../core/index.js";
import { timedProgress } from "../../../core/loop/position.js";
import { Trainer } from "../../../core/loop/trainer.js";
import { microConfig } from "../../../core/testing/index.js";
import * as plugins from "../../../plugins/index.js";
import { train } from "../../../run/train.js";
import { nanOnce } from "../../support/nan-once.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-max-time-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => void (await loadBackend()));

let now = 0;
beforeEach(() => {
  now = 0;
  const { now: real } = performance;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  onTestFinished(() => void (performance.now = real));
});

/** Lets each step take so many seconds, by its number from 1. */
const taking = (seconds: (step: number) => number): Plugin => ({
  name: "taking",
  options: {},
  apply: ({ hooks }) => hooks.onStep.tap(({ step }) => void (now += 1000 * seconds(step + 1))),
});

const timed = (overrides: Partial<TrainerConfig> = {}): TrainerConfig =>
  microConfig({ epochs: undefined, maxTime: "20s", ...overrides });

async function ratesOf(config: TrainerConfig, seconds: (step: number) => number = () => 1) {
  const steps: Events["step"][] = [];
  const trainer = new Trainer(config, [taking(seconds)]);
  trainer.events.on("step", (step) => void steps.push(step));
  trainer.events.on("warning", () => {});
  const { summary, dispose } = await trainer.fit();
  dispose();
  return { rates: steps.map(({ learningRate }) => learningRate), steps, summary };
}

describe("a time", () => {
  it.each([
    ["90s", 90],
    ["60m", 3600],
    ["60 min", 3600],
    ["1h30m", 5400],
    ["1.5h", 5400],
    ["1d", 86_400],
  ])("%s is %d seconds", (text, seconds) => expect(secondsOf(text)).toBe(seconds));

  it.each(["", "60", "m", "60 minutes", "-5s", "0s", "1h 30", "5x", "10s!"])("%j is none", (text) =>
    expect(secondsOf(text)).toBeUndefined(),
  );

  it("is recorded as seconds, and a record's seconds are a time", () => {
    expect(resolveConfig(timed({ maxTime: "1h" })).maxTime).toBe(3600);
    expect(resolveConfig(timed({ maxTime: 3600 })).maxTime).toBe(3600);
  });

  it.each([
    [{ epochs: 3 }, /expected maxTime or epochs, got both/],
    [{ maxSteps: 3 }, /expected maxTime or maxSteps, got both/],
    [{ maxTime: undefined }, /expected epochs or maxTime, got neither/],
    [{ maxTime: "soon" }, /"maxTime" expected a time such as "90s".*got "soon"/],
    [{ maxTime: 0 }, /maxTime/],
  ])("%j is refused", (overrides, message) => {
    expect(() => resolveConfig(timed(overrides))).toThrow(message);
  });
});

it("step / totalSteps is the share of the time that is over", () => {
  expect(timedProgress({ epoch: 2, step: 10, seconds: 15 }, 60, 4)).toEqual({
    epoch: 2,
    epochs: 10,
    step: 10,
    stepsPerEpoch: 4,
    totalSteps: 40,
  });
  const first = timedProgress({ epoch: 0, step: 0, seconds: 0 }, 60, 4);
  expect(first.step / first.totalSteps).toBe(0);
  // A step that ends with the time is the last one by its own progress.
  expect(timedProgress({ epoch: 9, step: 39, seconds: 58.8 }, 60, 4).totalSteps).toBe(40);
  const last = timedProgress({ epoch: 9, step: 40, seconds: 61 }, 60, 4);
  expect(last.step / last.totalSteps).toBe(1);
});

describe("a schedule", () => {
  const schedules = Object.entries({
    cosine: plugins.cosine(),
    linear: plugins.linear(),
    oneCycle: plugins.oneCycle(),
    polynomial: plugins.polynomial(),
    trapezoid: plugins.trapezoid(),
  });

  it.each(schedules)("%s of 20 s with steps of one second is that of 20 steps", async (_, schedule) => {
    const list = { plugins: [schedule] };
    const { rates, summary } = await ratesOf(timed(list));
    const { rates: wanted } = await ratesOf(microConfig({ ...list, epochs: 10 }));
    expect(summary).toMatchObject({ steps: 20, epochs: 10, stopReason: "max time" });
    expect(rates).toHaveLength(20);
    // Before the first step no speed is known, and a schedule in whole steps may round another way.
    rates.slice(1).forEach((rate, step) => expect(rate).toBeCloseTo(wanted[step + 1]!, 9));
  });

  it.each(schedules)("%s ends at its end, whatever the speed", async (_, schedule) => {
    const [fast, slow] = [0.125, 0.5];
    const { rates, summary } = await ratesOf(timed({ plugins: [schedule] }), (step) => (step > 60 ? slow : fast));
    expect(summary.steps).toBe(60 + (20 - 60 * fast) / slow);
    const { rates: even } = await ratesOf(timed({ plugins: [schedule] }), () => slow);
    expect(rates.at(-1)!).toBeCloseTo(even.at(-1)!, 3);
    // After 7.5 of the 20 seconds both are as far.
    expect(rates[60]!).toBeCloseTo(even[15]!, 2);
  });

  it("stops within an epoch, evaluates, and says that it is not repeatable", async () => {
    const told: string[] = [];
    const trainer = new Trainer(timed({ maxTime: 3 }), [taking(() => 1)]);
    trainer.events.on("warning", ({ message }) => void told.push(message));
    let start: Events["fit:start"] | undefined;
    trainer.events.on("fit:start", (event) => void (start = event));
    const { summary, dispose } = await trainer.fit();
    dispose();
    expect(summary).toMatchObject({ steps: 3, epochs: 1, stopReason: "max time" });
    expect(summary.validation?.count).toBe(4);
    expect(told).toContainEqual(
      expect.stringMatching(/schedule follows measured time: no other run has the same bits/),
    );
    expect(start).not.toHaveProperty("lastStep");
  });

  it("grows images by the share of the time", async () => {
    const sizes: number[] = [];
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeBatch.tap({ stage: "last" }, (batch) => {
          sizes.push(batch.images.shape[1]);
          return batch;
        }),
    };
    const data = shapes({ classes: 4, size: 16, train: 18, test: 6 });
    const growing = plugins.progressiveResizing({ from: 0.5, fullFor: 0.25 });
    await ratesOf(timed({ data, plugins: [growing, watch] }));
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(sizes.slice(0, 3)).toEqual([8, 8, 8]);
    expect(sizes.slice(-5)).toEqual([16, 16, 16, 16, 16]);
    expect(sizes[14]).toBeLessThan(16);
  });
});

it("counts the time of steps that a rollback repeats", async () => {
  const { summary, steps } = await ratesOf(timed({ plugins: [nanOnce(5).plugin], onDivergence: { rollback: 1 } }));
  expect(steps).toHaveLength(20);
  expect(summary).toMatchObject({ steps: 19, seconds: 20, stopReason: "max time" });
});

it("is refused in a group before data are loaded", async () => {
  const trainer = new Trainer(timed({ data: imageFolder({ path: "not-there", size: 8 }) }));
  await expect(trainer.prepare(undefined, { ...alone, size: 2 })).rejects.toThrow(
    "a group has several clocks. Set epochs in its place.",
  );
});

it.each([
  ["swa", plugins.swa()],
  ["quantize-aware", plugins.quantizeAware()],
  ["mixing", plugins.mixing({ plainEpochs: 2 })],
])("%s, which needs the last epochs, is refused", (name, plugin) => {
  expect(() => new Trainer(timed({ plugins: [plugin] }))).toThrow(
    expect.objectContaining({
      code: "ERR_COMPOSITION",
      message: expect.stringContaining(`Plugin "${name}" must know which epochs are the last`) as string,
    }),
  );
});

it("mixes in every epoch where no last ones are plain", async () => {
  const { summary } = await ratesOf(timed({ maxTime: 4, plugins: [plugins.mixing({ plainEpochs: 0 })] }));
  expect(summary.steps).toBe(4);
});

it("is planned without a number of steps", async () => {
  const trainer = new Trainer(timed({ maxTime: "1h", plugins: [plugins.cosine(), plugins.warmup()] }));
  const { formatPlan, makePlan } = await import("../../../core/loop/plan.js");
  const plan = makePlan(trainer, await trainer.prepare());
  expect(plan).toMatchObject({ stepsPerEpoch: 2, maxTime: 3600 });
  expect(plan).not.toHaveProperty("totalSteps");
  expect(formatPlan(plan)).toMatch(/2 per epoch, as many as 1 h 00 min of training allow/);
  expect(formatPlan(plan)).toMatch(/learning rate over the time, drawn for 20 epochs/);
});

describe("a run in a folder", () => {
  it("resumes with the time that it has used, and ends when all of it is over", async () => {
    const path = join(folder, "run");
    const config = timed({ name: "timed", plugins: [plugins.cosine()] });
    const stop = new AbortController();
    const pause: Plugin = {
      name: "pause",
      options: {},
      observer: true,
      apply: ({ hooks }) => hooks.onStep.tap(({ step }) => void (step === 6 && stop.abort("paused"))),
    };
    const observers = [taking(() => 1)];
    const first = await train(config, { folder: path, signal: stop.signal, observers: [...observers, pause] });
    expect(first.summary).toMatchObject({ steps: 7, seconds: 7 });
    first.dispose();
    now += 3_600_000; // an hour in which nothing ran

    const rates: number[] = [];
    const rest = await train(config, {
      folder: path,
      resume: true,
      observers,
      watch: (events) => events.on("step", ({ learningRate }) => void rates.push(learningRate)),
    });
    expect(rest.summary).toMatchObject({ steps: 20, seconds: 20, stopReason: "max time" });
    expect(rates[0]).toBeCloseTo(0.025 * (1 + Math.cos((Math.PI * 7) / 20)), 9);
    rest.dispose();
    const record = JSON.parse(readFileSync(join(path, "config.resolved.json"), "utf8")) as Record<string, unknown>;
    expect(record).toMatchObject({ maxTime: 20, repeatable: false });
    expect(record).not.toHaveProperty("epochs");

    const over = await train(config, { folder: path, resume: true, observers });
    expect(over.summary.steps).toBe(20);
    over.dispose();
    const longer = await train({ ...config, maxTime: "25s" }, { folder: path, resume: true, observers });
    expect(longer.summary.steps).toBe(25);
    longer.dispose();
    for (const other of [{ maxTime: "10s" }, { maxTime: undefined, epochs: 20 }]) {
      await expect(train({ ...config, ...other }, { folder: path, resume: true })).rejects.toMatchObject({
        code: "ERR_RESUME",
        message: expect.stringContaining("maxTime: 25 -> ") as string,
      });
    }
  });
});

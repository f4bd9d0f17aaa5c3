/**
 * R2 and C1: a run that is interrupted anywhere and goes on equals one that was not, bit for bit: weights, optimizer,
 * averages, plugins' states, and every figure that was said, wall clock apart. Through the form it has on disk.
 */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { adamw, loadBackend, type Plugin, sgd, Trainer, type TrainerConfig } from "../../../core/index.js";
import type { ResumePointKind } from "../../../core/loop/recovery.js";
import { earlyStopping, ema, gradientAccumulation } from "../../../plugins/index.js";
import { type CheckpointMeta, fromCheckpoint, toCheckpoint } from "../../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../../run/checkpoints.js";
import { micro, mustResumeFromEverywhere, resumable, traced } from "../../support/traced.js";

beforeAll(async () => void (await loadBackend()));

/** Ends with weights of another source than the epochs were evaluated with. */
const finalWeights: Plugin = {
  name: "final-weights",
  options: {},
  apply: ({ hooks }) =>
    hooks.beforeEvaluate.tap((evaluation) =>
      evaluation.purpose === "final" ? { ...evaluation, source: "another" } : evaluation,
    ),
};

/** SGD from every point. The others in samples here, and from every point in tests/long/resume.test.ts. */
describe.each(resumable)("%s", (name, overrides) => {
  it("resumes to the same end with the same events", async () => {
    const every = name === "SGD with momentum" ? 1 : 7; // shares no factor with epochs of 8 or windows of 3
    expect(await mustResumeFromEverywhere(micro(overrides), every)).toBeGreaterThan(every === 1 ? 64 : 9);
  });
});

describe("a resumed run", () => {
  it("can be interrupted again and again: three levels deep, the same end", async () => {
    const config = micro({ plugins: [ema({ decay: 0.9 }), gradientAccumulation({ factor: 3 })] });
    const whole = await traced(config);
    let rest = whole;
    for (const share of [0.2, 0.5, 0.5]) {
      const steps = rest.kept.filter(({ point }) => point === "step");
      rest = await traced(config, steps[Math.floor(steps.length * share)]!.checkpoint);
      expect(rest.end).toBe(whole.end);
    }
  });

  it("that was over evaluates again and says the same", async () => {
    const config = micro({});
    const whole = await traced(config);
    const rest = await traced(config, whole.kept.at(-1)!.checkpoint);
    expect(rest.events.filter((event) => event.startsWith("step"))).toEqual([]);
    expect(rest.end).toBe(whole.end);
    expect(rest.events.at(-1)).toBe(whole.events.at(-1));
  });

  it("that a plugin had ended stays ended", async () => {
    const config = micro({ plugins: [earlyStopping({ patience: 1, minDelta: 100 })] });
    const whole = await traced(config);
    expect(whole.events.at(-1)).toContain("early stopping");
    const rest = await traced(config, whole.kept.at(-1)!.checkpoint);
    expect(rest.events.at(-1)).toBe(whole.events.at(-1));
  });

  it("takes up an evaluation that was interrupted", async () => {
    const config = micro({ plugins: [ema({ decay: 0.9 })] });
    const whole = await traced(config);
    const controller = new AbortController();
    const trainer = new Trainer(config);
    let stopped: Checkpoint | undefined;
    // The signal comes during the evaluation of the third epoch.
    trainer.hooks.for("stopper", false).beforeEvaluate.tap((evaluation, { epoch }) => {
      if (epoch === 2) controller.abort("SIGTERM");
      return evaluation;
    });
    const { summary } = await trainer.fit({
      signal: controller.signal,
      onResumePoint: (snapshot, point) => void (point === "stop" && (stopped = toCheckpoint(snapshot, 0))),
    });
    expect(summary.stopReason).toBe("interrupted (SIGTERM)");
    const rest = await traced(config, stopped);
    expect(rest.end).toBe(whole.end);
    expect(rest.events).toEqual(whole.events.slice(-rest.events.length));
    expect(rest.events[0], "the third epoch's evaluation comes first").toMatch(/^evaluate:end .*"epoch":2/);
  });

  it.each<[string, Partial<TrainerConfig>]>([
    ["max steps in the middle of an epoch", { maxSteps: 12 }],
    ["max steps at the end of an epoch", { maxSteps: 16 }],
    ["a plugin", { plugins: [earlyStopping({ patience: 1, minDelta: 100 })] }],
    ["max steps, with other weights at the end", { maxSteps: 12, plugins: [finalWeights] }],
    ["its epochs", { epochs: 2 }],
  ])("takes up the evaluation at its end, after %s", async (_, overrides) => {
    const config = micro(overrides);
    const whole = await traced(config);
    for (const when of ["validation", "final"] as const) {
      const controller = new AbortController();
      const trainer = new Trainer(config);
      let stopped: Checkpoint | undefined;
      trainer.hooks.for("stopper", false).beforeEvaluate.tap((evaluation, { step }) => {
        const isLast = step === (whole.kept.at(-1)!.checkpoint.meta as CheckpointMeta).position.step;
        if (isLast && evaluation.purpose === when) controller.abort("SIGTERM");
        return evaluation;
      });
      const { summary, dispose } = await trainer.fit({
        signal: controller.signal,
        onResumePoint: (snapshot, point) => void (point === "stop" && (stopped = toCheckpoint(snapshot, 0))),
      });
      dispose();
      expect(summary.stopReason).toBe("interrupted (SIGTERM)");
      expect(summary.test).toBeUndefined();
      expect(summary.validation !== undefined).toBe(when === "final");
      const rest = await traced(config, stopped);
      expect(rest.end).toBe(whole.end);
      expect(rest.events).toEqual(whole.events.slice(-rest.events.length));
      expect(rest.events.some((event) => event.startsWith("evaluate:end") && event.includes('"purpose":"test"'))).toBe(
        true,
      );
    }
  });

  it.each([
    ["another network", {}],
    ["another optimizer", { optimizer: adamw() }],
    ["a plugin more", { plugins: [ema()] }],
  ] as const)("is refused with %s, and says what differs", async (what, overrides) => {
    const whole = await traced(micro({}));
    const changed =
      what === "another network"
        ? micro({ data: shapes({ classes: 5, size: 8, train: 75, test: 6 }) })
        : micro(overrides as Partial<TrainerConfig>);
    const { checkpoint } = whole.kept[3]!;
    const refused = new Trainer(changed).fit({ from: () => fromCheckpoint(checkpoint) });
    await expect(refused).rejects.toMatchObject({ code: "ERR_RESUME" });
    await expect(refused).rejects.toThrow(
      what === "a plugin more" ? /no state of ema/ : /weights|optimizer state|expected \[/,
    );
  });

  it("leaves no tensor behind, refused or not", async () => {
    const config = micro({ plugins: [ema(), gradientAccumulation({ factor: 3 })] });
    const { kept } = await traced(config);
    const before = tf.memory().numTensors;
    await traced(config, kept[20]!.checkpoint);
    expect(tf.memory().numTensors).toBe(before);
    await expect(traced(micro({}), kept[20]!.checkpoint)).rejects.toThrow(/ema/);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("a step that fails", () => {
  /** Fails at step 9 in the given hook, after the plugins before it have moved on. */
  const failing = (hook: "afterBackward" | "beforeStep" | "onStep"): Plugin => ({
    name: "failing",
    options: {},
    apply({ hooks }) {
      const fail = <T>(value: T, step: { microBatch: number }): T => {
        if (step.microBatch === 29) throw new Error("on purpose");
        return value;
      };
      if (hook === "onStep") hooks.onStep.tap({ stage: "last" }, (step) => void fail(0, step));
      else hooks[hook].tap({ stage: "last" }, fail);
    },
  });
  const harmless: Plugin = { name: "failing", options: {}, apply: () => undefined };

  it.each(["afterBackward", "beforeStep", "onStep"] as const)(
    "in %s can be gone on from: the state kept is the one before it",
    async (hook) => {
      const plugins = [ema({ decay: 0.9 }), gradientAccumulation({ factor: 3 })];
      const whole = await traced(micro({ plugins: [...plugins, harmless] }));
      let last: { point: ResumePointKind; checkpoint: Checkpoint } | undefined;
      const run = new Trainer(micro({ plugins: [...plugins, failing(hook)], optimizer: sgd({ momentum: 0.9 }) }));
      const fit = run.fit({
        onResumePoint: (snapshot, point) => (last = { point, checkpoint: toCheckpoint(snapshot, 0) }),
      });
      await expect(fit).rejects.toThrow(`Plugin "failing" failed in hook "${hook}": on purpose`);
      expect(last!.point).toBe("stop");
      expect(last!.checkpoint.meta.position).toMatchObject({ microBatch: 29 });
      const rest = await traced(micro({ plugins: [...plugins, harmless] }), last!.checkpoint);
      expect(rest.end).toBe(whole.end);
    },
  );
});

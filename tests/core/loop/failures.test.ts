/**
 * R30: whatever a plugin does wrong, wherever: plugin and hook are named, the error that came is kept, the last point
 * of the run is kept, and every other plugin is disposed of once. An observer's failure costs the run nothing.
 */
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { exitCodes, hookDefinitions, hookNames, loadBackend, type Plugin, Trainer } from "../../../core/index.js";
import type { HookName } from "../../../core/loop/hooks.js";
import type { ResumePointKind } from "../../../core/loop/recovery.js";
import type { Snapshot } from "../../../core/loop/snapshot.js";
import { fitWeights, microConfig, weightsHash } from "../../../core/testing/index.js";

let quiet: Awaited<ReturnType<typeof fitWeights>>;
let tensors: number;
beforeAll(async () => {
  await loadBackend();
  quiet = await fitWeights(microConfig());
});
beforeEach(() => void (tensors = tf.memory().numTensors));
afterEach(() => expect(tf.memory().numTensors, "no tensor is left behind").toBe(tensors));

const boom = new Error("boom");
const frozen = Object.freeze(new RangeError("cold"));
const never = new Promise<never>(() => {});
/** What a tap does: its name, the deed, what the message says, and the error that is kept. */
const deeds: [string, () => unknown, string, unknown][] = [
  ["throws", () => raise(boom), "boom", boom],
  ["throws a frozen error", () => raise(frozen), "cold", frozen],
  ["throws undefined", () => raise(undefined), "it threw undefined", undefined],
  [
    "throws what has no text",
    () => raise(Object.create(null)),
    "it threw an object that has no text",
    expect.any(Object),
  ],
  ["rejects", () => Promise.reject(boom), "boom", boom],
  ["never settles", () => never, "it did not settle within", expect.any(Error)],
];
function raise(thrown: unknown): never {
  throw thrown;
}

/** Hooks that fire before there is anything to keep. */
const early: readonly HookName[] = ["resolveGroup", "buildBlock", "buildHead", "buildNetwork", "onFitStart"];
/** Deeds that only a promise can do. */
const promises: readonly string[] = ["rejects", "never settles"];
const waits = (hook: HookName): boolean => hookDefinitions[hook].kind.startsWith("async");

interface Log {
  armed: boolean;
  disposed: string[];
}

/** Does its deed in one hook once the run has come to its second step. */
function faulty(hook: HookName, deed: () => unknown, log: Log, observer: boolean): Plugin {
  return {
    name: "faulty",
    options: {},
    observer,
    apply({ hooks }) {
      const tap = hooks[hook].tap as (tap: (value: unknown) => unknown) => void;
      const told = /^(on|should)/.test(hook);
      tap((value) => (log.armed ? deed() : told ? undefined : value));
      return { dispose: () => void log.disposed.push("faulty") };
    },
  };
}

const other = (name: string, log: Log): Plugin => ({
  name,
  options: {},
  apply: () => ({ dispose: () => void log.disposed.push(name) }),
});

async function run(hook: HookName, deed: () => unknown, observer: boolean) {
  const log: Log = { armed: early.includes(hook), disposed: [] };
  const moments: ResumePointKind[] = [];
  const warnings: string[] = [];
  const plugins = [other("before", log), faulty(hook, deed, log, observer), other("after", log)];
  const fitted = fitWeights(microConfig({ plugins, hookTimeout: 0.05 }), {
    onResumePoint: (_, point) => void moments.push(point),
    before: ({ events }) => {
      events.on("step", ({ step }) => void (log.armed ||= step === 2));
      // An observer of the loss that does not say it is pure, takes it out of the graph, failing or not.
      events.on("warning", ({ message }) => message.includes("operation by operation") || warnings.push(message));
    },
  });
  const outcome = await fitted.catch((error: unknown) => error);
  return { outcome, warnings, moments, disposed: log.disposed };
}

describe.each(hookNames)("%s", (hook) => {
  it.each(deeds)("that %s ends the run, named and kept", async (name, deed, said, cause) => {
    const { outcome, moments, disposed } = await run(hook, deed, false);
    const promised = !waits(hook) && promises.includes(name);
    const message = promised ? "it returned a promise. This hook is synchronous." : said;
    expect(outcome).toMatchObject({
      name: "TrainerError",
      code: "ERR_PLUGIN",
      exitCode: exitCodes.plugin,
      plugin: "faulty",
      hook,
      message: expect.stringContaining(`Plugin "faulty" failed in hook "${hook}": ${message}`) as string,
    });
    expect((outcome as Error).cause).toEqual(promised ? expect.any(Error) : cause);
    if (cause instanceof Error && !promised) expect((outcome as Error).cause).toBe(cause);
    if (!early.includes(hook)) expect(moments.at(-1)).toBe("stop");
    expect(disposed).toEqual(["before", "faulty", "after"]);
  });

  it.each(deeds)("that %s in an observer is switched off, and the run has the same bits", async (name, deed, said) => {
    const { outcome, warnings, disposed } = await run(hook, deed, true);
    expect(outcome).toMatchObject({ hash: quiet.hash, summary: { stopReason: "epochs" } });
    const message = !waits(hook) && promises.includes(name) ? "it returned a promise" : said;
    expect(warnings).toEqual([
      expect.stringMatching(
        new RegExp(`^Plugin "faulty" failed in hook "${hook}": ${message}.* It is switched off\\.$`),
      ),
    ]);
    expect(disposed).toEqual(["before", "faulty", "after"]);
  });
});

describe.each(["apply", "save", "load", "dispose"] as const)("%s", (place) => {
  const values = deeds.filter(([name]) => !promises.includes(name));
  const build = (deed: () => unknown, log: Log, observer: boolean): Plugin => ({
    name: "faulty",
    options: {},
    observer,
    apply: () => {
      if (place === "apply") deed();
      return {
        save: () => (place === "save" ? (deed() as never) : { values: 1 }),
        load: () => void (place === "load" && deed()),
        dispose: () => {
          log.disposed.push("faulty");
          if (place === "dispose") deed();
        },
      };
    },
  });
  const attempt = async (deed: () => unknown, observer: boolean) => {
    const log: Log = { armed: true, disposed: [] };
    const warnings: string[] = [];
    const plugins = [other("before", log), build(deed, log, observer), other("after", log)];
    const run = async () => {
      const config = microConfig({ plugins, onDivergence: { skip: 1 } });
      const trainer = new Trainer(config);
      trainer.events.on("warning", ({ message }) => warnings.push(message));
      let poisoned = false;
      // A step that diverges once: what the plugins saved before it is given back to them.
      trainer.hooks.for("poison", false).afterLoss.tap((loss, { step }) => {
        if (place !== "load" || poisoned || step !== 2) return loss;
        poisoned = true;
        return tf.mul(loss, Number.NaN) as tf.Scalar;
      });
      const { summary, dispose } = await trainer.fit();
      dispose();
      return summary;
    };
    return { outcome: await run().catch((error: unknown) => error), warnings, disposed: log.disposed };
  };

  it.each(values)("that %s is named, and the others are disposed of once", async (_, deed, said, cause) => {
    const { outcome, disposed } = await attempt(deed, false);
    expect(outcome).toMatchObject({
      code: "ERR_PLUGIN",
      plugin: "faulty",
      message: `Plugin "faulty" failed in ${place}: ${said}`,
    });
    expect((outcome as Error).cause).toEqual(cause);
    expect(disposed).toEqual(place === "apply" ? ["before"] : ["before", "faulty", "after"]);
  });

  if (place === "apply") return; // nobody has begun to watch: the config is wrong
  it.each(values)("that %s in an observer is switched off, and the run goes on", async (_, deed, said) => {
    const { outcome, warnings, disposed } = await attempt(deed, true);
    expect(outcome).toMatchObject({ stopReason: "epochs" });
    const message = `Plugin "faulty" failed in ${place}: ${said}. It is switched off.`;
    expect(warnings.filter((warning) => warning.includes("faulty"))).toEqual([message]);
    expect(disposed).toEqual(["before", "faulty", "after"]);
  });
});

describe("a plugin's state", () => {
  const saving = (save: () => unknown, observer = false): Plugin => ({
    name: "saving",
    options: {},
    observer,
    apply: () => ({ save: save as never, load: () => undefined }),
  });

  it("that cannot be saved any more leaves the point before to be kept", async () => {
    let saves = 0;
    const failing = saving(() => {
      if (++saves === 5) throw new Error("boom");
      return { values: saves };
    });
    let kept: { point: ResumePointKind; position: object; hash: string } | undefined;
    const onResumePoint = ({ position, weights }: Snapshot, point: ResumePointKind): void =>
      void (kept = { point, position, hash: weightsHash(weights) });
    await expect(fitWeights(microConfig({ plugins: [failing] }), { onResumePoint })).rejects.toThrow(
      'Plugin "saving" failed in save: boom',
    );
    expect(kept).toMatchObject({ point: "stop", position: { microBatch: 2 } });
  });

  it.each<[string, unknown, string]>([
    ["a date", { values: { at: [new Date()] } }, "values.at.0 is a Date"],
    ["a function", { values: { f: () => 1 } }, "values.f is of type function"],
    ["a typed array", { values: new Float32Array(2) }, "values is a Float32Array"],
    ["nothing", undefined, "expected { values?, tensors? }, got nothing."],
  ])("of %s is the plugin's fault, and told at the start", async (_, state, problem) => {
    const config = microConfig({ plugins: [saving(() => state)] });
    await expect(fitWeights(config, { onResumePoint: () => undefined })).rejects.toThrow(
      `Plugin "saving" failed in save: ${problem}`,
    );
    const watched = microConfig({ plugins: [saving(() => state, true)] });
    await expect(fitWeights(watched, { onResumePoint: () => undefined })).resolves.toBeDefined();
  });
});

describe("a failure while another is told", () => {
  const breaks: Plugin = {
    name: "breaks",
    options: {},
    apply({ hooks }) {
      hooks.onStep.tap(({ step }) => void (step === 1 && raise(boom)));
    },
  };

  it("of the checkpoint is a warning: the plugin's comes first", async () => {
    const trainer = new Trainer(microConfig({ plugins: [breaks] }));
    const warnings = vi.fn();
    trainer.events.on("warning", warnings);
    const onResumePoint = (_: unknown, point: ResumePointKind): void => {
      if (point === "stop") throw new Error("the disk is full");
    };
    await expect(trainer.fit({ onResumePoint })).rejects.toMatchObject({
      plugin: "breaks",
      hook: "onStep",
      cause: boom,
    });
    expect(warnings.mock.calls).toEqual([[{ message: "the disk is full" }]]);
  });
});

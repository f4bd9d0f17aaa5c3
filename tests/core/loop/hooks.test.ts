import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  type Batch,
  type Evaluation,
  type Hooks,
  hookNames,
  type Layer,
  loadBackend,
  type Plugin,
  type PluginContext,
  type Sample,
  type Stage,
  stages,
} from "../../../core/index.js";
import { createHooks } from "../../../core/loop/hook-set.js";
import { epochEnd, mountPlugin, progressAt, stepAt } from "../../../core/testing/index.js";

beforeAll(async () => void (await loadBackend()));

const plugin = (name: string, apply: (context: PluginContext) => void): Plugin => ({
  name,
  options: {},
  apply: (context) => void apply(context),
});
const sample: Sample = { pixels: new Uint8Array(12), height: 2, width: 2, label: 0, index: 5 };
/** A value of the wrong type, as plain JavaScript would hand it over. */
const wrong = (value: unknown): never => value as never;

describe("order", () => {
  it("is the stage, then the config, for every order of the plugins", () => {
    const orders = permutations([0, 1, 2, 3, 4]);
    expect(orders).toHaveLength(120);
    for (const order of orders) {
      const calls: string[] = [];
      // Plugins 0 and 2 share a stage, 1, 3 and 4 have one each.
      const stageOf: Stage[] = ["late", "first", "late", "normal", "early"];
      const plugins = order.map((id) =>
        plugin(`p${id}`, ({ hooks }) =>
          hooks.resolveLearningRate.tap({ stage: stageOf[id] }, (rate) => {
            calls.push(`p${id}`);
            return rate * 2;
          }),
        ),
      );
      const { call } = mountPlugin(plugins[4]!, { config: { plugins: plugins.slice(0, 4) } });
      expect(call.resolveLearningRate(1, progressAt())).toBe(32);
      const late = order.filter((id) => id === 0 || id === 2).map((id) => `p${id}`);
      expect(calls).toEqual(["p1", "p4", "p3", ...late]);
    }
  });

  it("holds in every hook", () => {
    for (const order of permutations([0, 1, 2, 3, 4])) {
      const hooks = createHooks({ seed: 1 });
      for (const id of order) {
        const own = hooks.for(`p${id}`, false);
        for (const hook of hookNames) {
          (own[hook] as { tap(options: object, tap: () => undefined): void }).tap(
            { stage: stages[id] },
            () => undefined,
          );
        }
      }
      for (const hook of hookNames) {
        const taps = hooks.taps().filter((tap) => tap.hook === hook);
        expect(taps.map(({ plugin }) => plugin)).toEqual(["p0", "p1", "p2", "p3", "p4"]);
      }
    }
  });

  it("has all five stages, normal where none is named", () => {
    const { taps } = mountPlugin(
      plugin("all", ({ hooks }) => {
        for (const stage of [...stages].reverse()) hooks.onStep.tap({ stage }, () => undefined);
        hooks.onStep.tap(() => undefined);
      }),
    );
    expect(taps.map(({ stage }) => stage)).toEqual(["first", "early", "normal", "normal", "late", "last"]);
  });

  it("gives the first answer of a bail, asks nobody after it, and takes undefined for no answer", () => {
    const asked: string[] = [];
    const answering = (name: string, answer: boolean | undefined): Plugin =>
      plugin(name, ({ hooks }) => hooks.shouldStep.tap(() => (asked.push(name), answer)));
    const { call } = mountPlugin(answering("c", true), {
      config: { plugins: [answering("a", undefined), answering("b", false)] },
    });
    expect(call.shouldStep(stepAt())).toBe(false);
    expect(asked).toEqual(["a", "b"]);
  });
});

describe("a tap is refused when it is registered", () => {
  const cases: [string, (hooks: Hooks) => void, string][] = [
    [
      "an asynchronous function at a synchronous hook",
      ({ beforeStep }) => beforeStep.tap(wrong(async () => new Map())),
      'tap "beforeStep": this hook is synchronous, got an asynchronous function. Everything inside a step is synchronous.',
    ],
    [
      "an unknown stage",
      ({ onStep }) => onStep.tap({ stage: wrong("erly") }, () => undefined),
      'tap "onStep": unknown stage "erly" (did you mean "early"?).',
    ],
    [
      "an unknown option",
      ({ onStep }) => onStep.tap(wrong({ before: "x" }), () => undefined),
      'tap "onStep": unknown tap option "before" (there are: stage, pure).',
    ],
    ["what is no function", ({ onStep }) => onStep.tap(wrong(3)), 'tap "onStep": expected a function, got number.'],
  ];
  it.each(cases)("%s", (_, register, said) => {
    expect(() => mountPlugin(plugin("p", ({ hooks }) => register(hooks)))).toThrow(
      expect.objectContaining({ code: "ERR_PLUGIN", plugin: "p", message: `Plugin "p" cannot ${said}` }),
    );
  });
});

describe("a returned value is refused with plugin, hook and cause", () => {
  type Call = ReturnType<typeof mountPlugin>["call"];
  const batch = () => ({
    images: tf.zeros([2, 4, 4, 3]) as tf.Tensor4D,
    targets: tf.tensor2d([1, 0, 0, 0, 1, 0], [2, 3]),
    labels: new Int32Array(2),
    indices: new Int32Array(2),
  });
  const group = { name: "all", depth: 0, parameters: ["w", "b"], rateFactor: 1, trains: true, decayFactor: 1 };
  const evaluation = () => ({
    purpose: "final" as const,
    source: "current",
    weights: new Map([["w", tf.zeros([2])]]),
    views: [{ name: "plain", apply: (x: tf.Tensor4D) => x }],
  });
  const layer: Layer = { kind: "identity", forward: (x) => x };
  const gradients = () => new Map([["w", tf.zeros([2])]]);

  /** How each hook is fired, with arguments that are as they should be. */
  const fire = {
    resolveLearningRate: (call: Call) => call.resolveLearningRate(1, progressAt()),
    resolveParamGroups: (call: Call) => call.resolveParamGroups([group], progressAt()),
    shouldStep: (call: Call) => call.shouldStep(stepAt()),
    shouldStop: (call: Call) => call.shouldStop(epochEnd(0)),
    buildHead: (call: Call) => call.buildHead(layer, { features: 1, classes: 2 }),
    buildNetwork: (call: Call) => call.buildNetwork(layer, { classes: 2, inputSize: 8 }),
    beforeSample: (call: Call) => call.beforeSample(sample, 0),
    beforeBatch: (call: Call) => call.beforeBatch(batch(), stepAt()),
    afterLoss: (call: Call) => call.afterLoss(tf.scalar(1), stepAt()),
    afterBackward: (call: Call) => call.afterBackward(gradients(), stepAt()),
    beforeStep: (call: Call) => call.beforeStep(gradients(), stepAt()),
    onStep: (call: Call) => call.onStep(stepAt()),
    beforeEvaluate: (call: Call) => call.beforeEvaluate(evaluation(), progressAt()),
    afterEvaluate: (call: Call) => call.afterEvaluate(wrong({}), progressAt()),
  };
  const more = { ...group, name: "more", parameters: ["b"] };
  const failing = (): never => {
    throw new RangeError("too far");
  };

  const cases: [keyof typeof fire, string, (given: never) => unknown, string][] = [
    ["resolveLearningRate", "undefined", () => undefined, "it returned undefined. Return the value, changed or not."],
    ["resolveLearningRate", "null", () => null, "it returned null. Return the value, changed or not."],
    ["resolveLearningRate", "a promise", () => Promise.resolve(1), "it returned a promise. This hook is synchronous."],
    ["onStep", "a promise that fails", () => Promise.reject(new Error("late")), "it returned a promise."],
    ["resolveLearningRate", "NaN", () => NaN, "expected a finite learning rate of 0 or more, got NaN."],
    ["resolveLearningRate", "a negative rate", () => -1, "got -1."],
    ["shouldStep", "a number", () => 1, "expected true, false or undefined, got 1."],
    ["shouldStep", "null", () => null, "it returned null."],
    ["shouldStop", "true", () => true, "expected a reason in words or undefined, got true."],
    ["buildHead", "an empty object", () => ({}), "expected a layer: { kind, forward, … }."],
    ["buildNetwork", "an empty object", () => ({}), "expected a layer: { kind, forward, … }."],
    [
      "beforeSample",
      "a list",
      () => ({ ...sample, pixels: [0] }),
      "expected the sample's pixels as Uint8Array, got [0].",
    ],
    [
      "beforeSample",
      "too few pixels",
      () => ({ ...sample, pixels: new Uint8Array(9) }),
      "expected 12 bytes for a sample of 2 × 2, got 9.",
    ],
    ["beforeSample", "another index", () => ({ ...sample, index: 6 }), "expected the sample's own index 5, got 6."],
    [
      "beforeBatch",
      "targets of more classes",
      (given: Batch) => ({ ...given, targets: tf.zeros([2, 4]) }),
      "expected targets of [2, 3], got [2,4].",
    ],
    [
      "beforeBatch",
      "one image",
      (given: Batch) => ({ ...given, images: tf.zeros([4, 4, 3]) }),
      "expected images of [2, height, width, 3], got [4,4,3].",
    ],
    [
      "beforeBatch",
      "other labels",
      (given: Batch) => ({ ...given, labels: given.labels.slice() }),
      "labels and indices name the true images.",
    ],
    [
      "beforeBatch",
      "targets with the sum 2",
      (given: Batch) => ({
        ...given,
        targets: tf.tensor2d([
          [0, 1, 0],
          [0, 2, 0],
        ]),
      }),
      "expected targets whose rows are distributions (0 or more, with the sum 1), got the sum 2 in row 1. A tap that weighs",
    ],
    [
      "beforeBatch",
      "a target below 0",
      (given: Batch) => ({
        ...given,
        targets: tf.tensor2d([
          [1.5, -0.5, 0],
          [0, 1, 0],
        ]),
      }),
      "got -0.5 in row 0.",
    ],
    [
      "resolveLearningRate",
      "a typed array",
      () => new Float32Array(48),
      "expected a finite learning rate of 0 or more, got Float32Array of 48 numbers.",
    ],
    ["afterLoss", "a loss for each image", () => tf.zeros([2]), "expected a scalar loss, got a tensor of [2]."],
    ["afterEvaluate", "a tensor", () => tf.zeros([2, 3]), "with numbers loss and top1, got a tensor of [2,3]."],
    ["beforeStep", "fewer gradients", () => new Map(), "expected 1 gradients, got 0."],
    ["beforeStep", "an object", () => ({}), "expected gradients as a Map from names to tensors, got {}."],
    [
      "afterBackward",
      "another name",
      () => new Map([["x", tf.zeros([2])]]),
      'got a gradient of "x", which does not train.',
    ],
    [
      "beforeStep",
      "another shape",
      () => new Map([["w", tf.zeros([3])]]),
      'expected [2] for the gradient of "w", got [3].',
    ],
    ["resolveParamGroups", "a name twice", () => [group, more], '"b" is in two groups, "all" and "more".'],
    ["resolveParamGroups", "a name in no group", () => [more], '"w" is in no group. To freeze it, set trains: false.'],
    [
      "resolveParamGroups",
      "an endless factor",
      () => [{ ...group, rateFactor: Infinity }],
      'expected a rate factor of 0 or more for group "all", got Infinity.',
    ],
    [
      "beforeEvaluate",
      "weights that lack one",
      (given: Evaluation) => ({ ...given, weights: new Map() }),
      'expected the weights to have "w", got none.',
    ],
    [
      "beforeEvaluate",
      "no view",
      (given: Evaluation) => ({ ...given, views: [] }),
      "expected at least one view, got none.",
    ],
    [
      "beforeEvaluate",
      "a view that weighs nothing",
      (given: Evaluation) => ({ ...given, views: given.views.map((view) => ({ ...view, weight: 0 })) }),
      'expected a weight above 0 for the view "plain", got 0.',
    ],
    [
      "afterEvaluate",
      "metrics without a loss",
      () => ({ top1: 1 }),
      'expected metrics with numbers loss and top1, got {"top1":1}.',
    ],
    ["onStep", "what a tap throws", failing, "too far"],
  ];
  it.each(cases)("%s: %s", async (hook, _, tap, said) => {
    const { call } = mountPlugin(
      plugin("odd", ({ hooks }) => (hooks[hook] as unknown as { tap(tap: unknown): void }).tap(tap)),
    );
    const error: unknown = await Promise.resolve()
      .then(() => fire[hook](call))
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ERR_PLUGIN", plugin: "odd", hook });
    expect((error as Error).message).toContain(`Plugin "odd" failed in hook "${hook}": `);
    expect((error as Error).message).toContain(said);
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  it("but targets may be weighed by a tap that says so, and those after it change them as they are", () => {
    const hooks = createHooks({ seed: 1 });
    const doubled = (given: Batch): Batch => ({ ...given, targets: tf.mul(given.targets, 2) });
    hooks.for("weights", false).beforeBatch.tap({ weighs: true }, doubled);
    hooks.for("next", false).beforeBatch.tap(doubled);
    const given = {
      ...batch(),
      targets: tf.tensor2d([
        [0, 1, 0],
        [1, 0, 0],
      ]),
    } as Batch;
    expect([...hooks.call.beforeBatch(given, stepAt()).targets.dataSync()]).toEqual([0, 4, 0, 4, 0, 0]);
    expect(() => hooks.for("odd", false).afterLoss.tap({ weighs: true }, (loss) => loss)).toThrow(
      'unknown tap option "weighs"',
    );
  });

  it("is that plugin's failure alone where another one's tap, an observer's too, made the loop call it", async () => {
    for (const observer of [true, false]) {
      const switchedOff: unknown[] = [];
      const hooks = createHooks({ seed: 1, onObserverFailure: (error) => switchedOff.push(error) });
      hooks.for("rate", false).resolveLearningRate.tap(failing);
      hooks.for("report", observer).onFitStart.tap(({ plan }) => void plan());
      const plan = () => String(hooks.call.resolveLearningRate(1, progressAt()));
      await expect(hooks.call.onFitStart({ plan } as never)).rejects.toMatchObject({
        message: 'Plugin "rate" failed in hook "resolveLearningRate": too far',
        plugin: "rate",
      });
      expect(switchedOff).toEqual([]);
    }
  });

  it("gives up on an asynchronous tap that never settles", async () => {
    const hooks = createHooks({ seed: 1, timeout: 0.02 });
    hooks.for("slow", false).onEpochEnd.tap(() => new Promise<void>(() => undefined));
    await expect(hooks.call.onEpochEnd(epochEnd(0))).rejects.toThrow(
      'Plugin "slow" failed in hook "onEpochEnd": it did not settle within 0.02 s. If it needs longer, set hookTimeout in the config.',
    );
  });
});

describe("asynchronous hooks", () => {
  it("run one after another, each waiting for the one before", async () => {
    const calls: string[] = [];
    const waiting = (name: string, milliseconds: number): Plugin =>
      plugin(name, ({ hooks }) =>
        hooks.afterEvaluate.tap(async (metrics) => {
          await new Promise((resolve) => setTimeout(resolve, milliseconds));
          calls.push(name);
          return { ...metrics, top1: metrics.top1 + 1 };
        }),
      );
    const { call } = mountPlugin(waiting("fast", 0), { config: { plugins: [waiting("slow", 20)] } });
    const metrics = { count: 1, loss: 1, top1: 0, top5: 0, source: "current" };
    expect((await call.afterEvaluate(metrics, progressAt())).top1).toBe(2);
    expect(calls).toEqual(["slow", "fast"]);
  });
});

describe("random streams of beforeSample", () => {
  const draws = (others: Plugin[], name = "draws"): number[] => {
    const seen: number[] = [];
    const drawing = plugin(name, ({ hooks }) =>
      hooks.beforeSample.tap((value, rng) => {
        seen.push(rng.uniform());
        return value;
      }),
    );
    const { call } = mountPlugin(drawing, { config: { plugins: others } });
    call.beforeSample(sample, 0);
    call.beforeSample(sample, 1);
    call.beforeSample({ ...sample, index: 6 }, 0);
    call.beforeSample(sample, 0);
    return seen;
  };

  it("are of the plugin, the epoch and the sample, and another plugin's draws move none of them", () => {
    const alone = draws([]);
    expect(new Set(alone).size).toBe(3);
    expect(alone[3]).toBe(alone[0]);
    const greedy = plugin("greedy", ({ hooks }) =>
      hooks.beforeSample.tap((value, rng) => {
        for (let draw = 0; draw < 100; draw++) rng.uint32();
        return value;
      }),
    );
    expect(draws([greedy])).toEqual(alone);
    expect(draws([], "other")).not.toEqual(alone);
  });
});

describe("types", () => {
  it("misuse does not compile", () => {
    const check = ({ hooks }: PluginContext): void => {
      // @ts-expect-error a waterfall returns its value
      hooks.resolveLearningRate.tap((rate) => void rate);
      // @ts-expect-error a step is synchronous
      hooks.beforeStep.tap(async (gradients) => gradients);
      // @ts-expect-error there is no such stage
      hooks.onStep.tap({ stage: "middle" }, () => undefined);
      // @ts-expect-error there is no such hook
      hooks.onBatch.tap(() => undefined);
      // @ts-expect-error what a tap is given is not to be changed
      hooks.beforeBatch.tap((batch) => ((batch.images = batch.images), batch));
      // @ts-expect-error an answer is a reason in words
      hooks.shouldStop.tap(() => true);
    };
    expectTypeOf(check).parameter(0).toEqualTypeOf<PluginContext>();
    expectTypeOf<ReturnType<ReturnType<typeof mountPlugin>["call"]["beforeSample"]>>().toEqualTypeOf<Sample>();
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}

describe("an unknown hook", () => {
  it("is named, with a suggestion", () => {
    const typo = plugin("typo", ({ hooks }) =>
      (hooks as unknown as { onStp: Hooks["onStep"] }).onStp.tap(() => undefined),
    );
    expect(() => mountPlugin(typo)).toThrow('Plugin "typo" taps the unknown hook "onStp" (did you mean "onStep"?).');
  });
});

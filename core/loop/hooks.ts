/**
 * The hooks of the loop: their signatures, kinds, checks, and the one wrapper around every tap.
 *
 * The prefix tells the kind. `before* after* build* resolve*` return the next value; `should*` answer, the first
 * answer counts; `on*` are told. Everything inside a step is synchronous. docs/hooks.md has the firing order.
 */
import type * as tf from "@tensorflow/tfjs-core";
import { AsyncSeriesHook, AsyncSeriesWaterfallHook, SyncBailHook, SyncHook, SyncWaterfallHook } from "tapable";
import type { Sample } from "../data/dataset.js";
import { reasonOf, TrainerError } from "../errors.js";
import type { Layer } from "../nn/layer.js";
import type { BlockInfo, HeadInfo } from "../nn/model.js";
import { suggestion } from "../options.js";
import { type Stream, stream } from "../rng.js";
import * as check from "./checks.js";
import { createLedger, type Ledger, type TellLeak } from "./leaks.js";
import type {
  Batch,
  EpochSummary,
  Evaluation,
  FitSummary,
  Gradients,
  Metrics,
  ParamGroup,
  Progress,
  Run,
  Step,
} from "./types.js";

/** What a tap of each hook is: its arguments and what it returns. */
export interface HookSignatures {
  /** When: a model is built. Kind: waterfall. `branch` ends after its last norm, before the add. */
  buildBlock(branch: Layer, block: BlockInfo): Layer;
  /** When: a model is built. Kind: waterfall. The layer between pooled features and classifier. */
  buildHead(head: Layer, info: HeadInfo): Layer;
  /** When: at the start of each epoch. Kind: waterfall. Every parameter must stay in exactly one group. */
  resolveParamGroups(groups: readonly ParamGroup[], progress: Progress): readonly ParamGroup[];
  /** When: before the first step. Kind: told, may be asynchronous. */
  onFitStart(run: Run): void | Promise<void>;
  /** When: a training sample is loaded. Kind: waterfall. Unsigned bytes [height, width, 3]; never change them. */
  beforeSample(sample: Sample, rng: Stream, epoch: number): Sample;
  /** When: before the forward pass, in training only. Kind: waterfall. Targets stay distributions. */
  beforeBatch(batch: Batch, step: Step): Batch;
  /** When: every optimizer step. Kind: waterfall. */
  resolveLearningRate(rate: number, progress: Progress): number;
  /**
   * When: inside the gradient tape, after the loss. Kind: waterfall. Where every tap is `pure`, forward and backward pass run
   * as a graph; otherwise operation by operation.
   */
  afterLoss(loss: tf.Scalar, step: Step): tf.Scalar;
  /** When: after the gradients of every micro-batch. Kind: waterfall. */
  afterBackward(gradients: Gradients, step: Step): Gradients;
  /** When: after `afterBackward`. Kind: the first answer counts; false holds the optimizer back. */
  shouldStep(step: Step): boolean | undefined;
  /** When: before the optimizer uses the gradients. Kind: waterfall. */
  beforeStep(gradients: Gradients, step: Step): Gradients;
  /** When: after an optimizer step. Kind: told. */
  onStep(step: Step): undefined | void;
  /** When: before any evaluation. Kind: waterfall. Which weights, and which views of a picture. */
  beforeEvaluate(evaluation: Evaluation, progress: Progress): Evaluation;
  /** When: after an evaluation. Kind: waterfall, may be asynchronous. */
  afterEvaluate(metrics: Metrics, progress: Progress): Metrics | Promise<Metrics>;
  /** When: after an epoch and its evaluation. Kind: told, may be asynchronous. */
  onEpochEnd(summary: EpochSummary): void | Promise<void>;
  /** When: after `onEpochEnd`. Kind: the first answer counts: a reason to stop. */
  shouldStop(summary: EpochSummary): string | undefined;
  /** When: at the end, also after a failure. Kind: told, may be asynchronous; every tap runs. */
  onFitEnd(summary: FitSummary): void | Promise<void>;
}

export type HookName = keyof HookSignatures;

/** In which part of a hook's order a tap runs; inside a stage it is the order of the plugins in the config. */
export const stages = ["first", "early", "normal", "late", "last"] as const;
export type Stage = (typeof stages)[number];

export interface TapOptions {
  /** Default "normal". */
  stage?: Stage;
  /**
   * `afterLoss` and `beforeStep` only: what the tap gives depends on the tensors that it is given, and on nothing else. Where
   * every tap is so, they run as part of a graph, and are called while a step is recorded and not at every step.
   */
  pure?: boolean;
}

/** One hook as a plugin sees it. */
export interface HookTap<K extends HookName> {
  tap(handler: HookSignatures[K]): void;
  tap(options: TapOptions, handler: HookSignatures[K]): void;
}

export type Hooks = { readonly [K in HookName]: HookTap<K> };

/** How the loop calls each hook. Waterfalls give the last value, bails the first answer. */
export type HookCalls = {
  readonly [K in HookName]: (
    ...args: K extends "beforeSample" ? [sample: Sample, epoch: number] : Parameters<HookSignatures[K]>
  ) => ReturnType<HookSignatures[K]>;
};

type Kind = "waterfall" | "bail" | "told" | "asyncTold" | "asyncWaterfall";

interface Definition {
  kind: Kind;
  arguments: [string, ...string[]];
  /** What is wrong with a returned value, if anything: "must be …". */
  check?: (next: never, previous: never, context: never) => string | undefined;
}

/** In the order in which they first fire. */
export const hookDefinitions: Readonly<Record<HookName, Definition>> = {
  buildBlock: { kind: "waterfall", arguments: ["branch", "block"], check: check.layer },
  buildHead: { kind: "waterfall", arguments: ["head", "info"], check: check.layer },
  onFitStart: { kind: "asyncTold", arguments: ["run"] },
  resolveParamGroups: { kind: "waterfall", arguments: ["groups", "progress"], check: check.groups },
  beforeSample: { kind: "waterfall", arguments: ["sample", "epoch"], check: check.sample },
  beforeBatch: { kind: "waterfall", arguments: ["batch", "step"], check: check.batch },
  afterLoss: { kind: "waterfall", arguments: ["loss", "step"], check: check.loss },
  afterBackward: { kind: "waterfall", arguments: ["gradients", "step"], check: check.gradients },
  shouldStep: { kind: "bail", arguments: ["step"], check: check.answer },
  resolveLearningRate: { kind: "waterfall", arguments: ["rate", "progress"], check: check.rate },
  beforeStep: { kind: "waterfall", arguments: ["gradients", "step"], check: check.gradients },
  onStep: { kind: "told", arguments: ["step"] },
  beforeEvaluate: { kind: "waterfall", arguments: ["evaluation", "progress"], check: check.evaluation },
  afterEvaluate: { kind: "asyncWaterfall", arguments: ["metrics", "progress"], check: check.metrics },
  onEpochEnd: { kind: "asyncTold", arguments: ["summary"] },
  shouldStop: { kind: "bail", arguments: ["summary"], check: check.reason },
  onFitEnd: { kind: "asyncTold", arguments: ["summary"] },
};

/** After these a plugin holds what it holds from step to step and from epoch to epoch. */
const settlingHooks = ["onStep", "shouldStop"] as const;

export const hookNames = Object.keys(hookDefinitions) as HookName[];

/** A tap as `plan` prints it. */
export interface TapInfo {
  readonly hook: HookName;
  readonly plugin: string;
  readonly stage: Stage;
}

/** Time a plugin's taps of one hook took so far. */
export interface TapCost {
  calls: number;
  milliseconds: number;
}

export interface HookSetOptions {
  seed: number;
  /** Longest wait for an asynchronous tap, seconds. */
  timeout?: number;
  /** Told once when an observer failed and was disabled. */
  onObserverFailure?: (error: TrainerError) => void;
  /** Told once for each hook of a plugin that leaks tensors, and of what a plugin leaves behind. */
  onLeak?: TellLeak;
}

export interface HookSet {
  readonly call: HookCalls;
  /** The hooks as one plugin sees them; `observer` plugins are disabled at their first failure. */
  for(plugin: string, observer: boolean): Hooks;
  /** Calls no tap of an observer any more. */
  switchOff(plugin: string, error: TrainerError): void;
  isOff(plugin: string): boolean;
  /** Every tap in firing order. */
  taps(): TapInfo[];
  /** Whether every tap of a hook says that it is a function of tensors alone. */
  isPure(hook: HookName): boolean;
  /** Plugin -> hook -> cost. */
  costs(): ReadonlyMap<string, ReadonlyMap<HookName, TapCost>>;
  /** What failed in `onFitEnd`, where one failure must not skip the other taps. */
  endFailures(): readonly TrainerError[];
  /** Counts what plugins hold; their functions that are no taps are counted by it too. */
  readonly ledger: Ledger;
}

type AnyHook =
  | SyncWaterfallHook<any>
  | SyncBailHook<any, any>
  | SyncHook<any>
  | AsyncSeriesHook<any>
  | AsyncSeriesWaterfallHook<any>;

/** The hooks of one trainer. Nothing is shared between two of them. */
export function createHooks({ seed, timeout = 600, onObserverFailure, onLeak = () => {} }: HookSetOptions): HookSet {
  const ledger = createLedger(onLeak);
  const costs = new Map<string, Map<HookName, TapCost>>();
  const disabled = new Set<string>();
  const impure = new Set<HookName>();
  const endFailures: TrainerError[] = [];
  const hooks = {} as Record<HookName, AnyHook>;
  const call = {} as Record<HookName, (...args: unknown[]) => unknown>;
  for (const name of hookNames) {
    const definition = hookDefinitions[name];
    const hook = createHook(definition);
    hooks[name] = hook;
    call[name] =
      "promise" in hook && definition.kind.startsWith("async")
        ? (...args) => (hook.promise as (...args: unknown[]) => unknown)(...args)
        : (...args) => (hook as SyncHook<any>).call(...(args as [unknown]));
  }
  for (const name of settlingHooks) {
    const fire = call[name];
    call[name] = (...args) => {
      const result = fire(...args);
      ledger.settle();
      return result;
    };
  }

  function switchOff(plugin: string, error: TrainerError): void {
    if (disabled.has(plugin)) return;
    disabled.add(plugin);
    onObserverFailure?.(error);
  }

  /** Adds one tap, wrapped: its time is measured, its errors are named, what it returns is checked. */
  function register(
    plugin: string,
    observer: boolean,
    hook: HookName,
    options: TapOptions,
    handler: (...args: any[]) => unknown,
  ): void {
    const { kind, check: verify } = hookDefinitions[hook];
    const asynchronous = kind.startsWith("async");
    const stage = options.stage ?? "normal";
    const refuse = (problem: string): never => {
      throw new TrainerError("ERR_PLUGIN", `Plugin "${plugin}" cannot tap "${hook}": ${problem}`, { plugin, hook });
    };
    if (typeof handler !== "function") refuse(`a tap is a function, and ${typeof handler} came.`);
    if (!stages.includes(stage)) refuse(`unknown stage "${String(stage)}"${suggestion(String(stage), stages)}.`);
    const unknown = Object.keys(options).filter((key) => key !== "stage" && key !== "pure");
    if (unknown.length > 0) refuse(`unknown tap option "${unknown[0]}"; there are "stage" and "pure".`);
    if (options.pure && hook !== "afterLoss" && hook !== "beforeStep")
      refuse('"pure" is for "afterLoss" and "beforeStep" alone.');
    if (!asynchronous && handler.constructor.name === "AsyncFunction") {
      refuse("this hook is synchronous, and an asynchronous function came. Everything inside a step is synchronous.");
    }

    const byHook = costs.get(plugin) ?? costs.set(plugin, new Map()).get(plugin)!;
    const cost = byHook.get(hook) ?? byHook.set(hook, { calls: 0, milliseconds: 0 }).get(hook)!;
    const charge = (since: number): void => {
      cost.calls++;
      cost.milliseconds += performance.now() - since;
    };
    const failure = (cause: unknown): TrainerError => {
      return new TrainerError(
        cause instanceof TrainerError ? cause.code : "ERR_PLUGIN",
        `Plugin "${plugin}" failed in hook "${hook}": ${reasonOf(cause)}`,
        { cause, plugin, hook },
      );
    };
    /** What goes on after a failure: an observer is switched off and the value passes it by. */
    const failed = (cause: unknown, value: unknown): unknown => {
      const error = failure(cause);
      if (!observer && hook === "onFitEnd") {
        endFailures.push(error);
        return undefined;
      }
      if (!observer) throw error;
      switchOff(plugin, error);
      return kind.toLowerCase().includes("waterfall") ? value : undefined;
    };
    const accept = (next: unknown, args: unknown[]): unknown => {
      if (kind === "told" || kind === "asyncTold") return undefined;
      if (kind === "bail" && next === undefined) return undefined;
      const problem =
        next === undefined || next === null
          ? `it returned ${String(next)}. Return the value, changed or not.`
          : (verify as ((...all: unknown[]) => string | undefined) | undefined)?.(next, args[0], args[1]);
      if (problem) throw new Error(problem);
      return next;
    };
    const own = (args: unknown[]): unknown[] =>
      hook === "beforeSample"
        ? [args[0], stream(seed, `${plugin}/beforeSample`, args[1] as number, (args[0] as Sample).index), args[1]]
        : args;

    const synchronous = (...args: unknown[]): unknown => {
      if (disabled.has(plugin)) return kind === "waterfall" ? args[0] : undefined;
      const since = performance.now();
      try {
        const next = ledger.counted(plugin, hook, () => handler(...own(args)));
        if (isPromise(next)) {
          next.then(undefined, () => undefined);
          throw new Error("it returned a promise. This hook is synchronous.");
        }
        return accept(next, args);
      } catch (cause) {
        return failed(cause, args[0]);
      } finally {
        charge(since);
      }
    };
    const eventual = async (...args: unknown[]): Promise<unknown> => {
      if (disabled.has(plugin)) return kind === "asyncWaterfall" ? args[0] : undefined;
      const since = performance.now();
      try {
        const wait = (): Promise<unknown> => within(timeout, handler(...args));
        return accept(await ledger.eventually(plugin, hook, wait), args);
      } catch (cause) {
        return failed(cause, args[0]);
      } finally {
        charge(since);
      }
    };
    if (!options.pure) impure.add(hook);
    const order = { name: plugin, stage: stages.indexOf(stage) };
    if (asynchronous) (hooks[hook] as AsyncSeriesHook<any>).tapPromise(order, eventual as () => Promise<void>);
    else (hooks[hook] as SyncHook<any>).tap(order, synchronous as () => void);
  }

  return {
    call: call as HookCalls,
    for(plugin, observer) {
      const entries = hookNames.map((hook) => {
        const tap = (first: unknown, second?: unknown): void =>
          second === undefined
            ? register(plugin, observer, hook, {}, first as () => unknown)
            : register(plugin, observer, hook, first as TapOptions, second as () => unknown);
        return [hook, Object.freeze({ tap })];
      });
      return new Proxy(Object.freeze(Object.fromEntries(entries)) as Hooks, {
        get(known, name) {
          if (typeof name === "symbol" || Object.hasOwn(known, name)) return known[name as HookName];
          const message = `Plugin "${plugin}" asks for a hook "${name}", which there is not${suggestion(name, hookNames)}.`;
          throw new TrainerError("ERR_PLUGIN", message, { plugin });
        },
      });
    },
    switchOff,
    isOff: (plugin) => disabled.has(plugin),
    taps: () =>
      hookNames.flatMap((hook) =>
        hooks[hook].taps.map((tap) => ({ hook, plugin: tap.name, stage: stages[tap.stage ?? 2]! })),
      ),
    isPure: (hook) => !impure.has(hook),
    costs: () => costs,
    endFailures: () => endFailures,
    ledger,
  };
}

function createHook({ kind, arguments: names }: Definition): AnyHook {
  switch (kind) {
    case "waterfall":
      return new SyncWaterfallHook<any>(names as any);
    case "bail":
      return new SyncBailHook<any, any>(names as any);
    case "told":
      return new SyncHook<any>(names as any);
    case "asyncTold":
      return new AsyncSeriesHook<any>(names as any);
    case "asyncWaterfall":
      return new AsyncSeriesWaterfallHook<any>(names as any);
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

/** Waits for a promise, but not forever: a tap that never settles would hang the run without a word. */
async function within<T>(seconds: number, value: T | PromiseLike<T>): Promise<T> {
  if (!isPromise(value)) return value;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `it did not settle within ${seconds} s. If it needs longer, set hookTimeout in the config.`;
    timer = setTimeout(() => reject(new Error(message)), 1000 * seconds);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The hooks of one trainer at work: taps in their order, each wrapped once when it is registered (`tap.ts`). */
import type * as tf from "@tensorflow/tfjs-core";
import { AsyncSeriesHook, AsyncSeriesWaterfallHook, SyncBailHook, SyncHook, SyncWaterfallHook } from "tapable";
import type { Rectangle, Sample, SourceImage } from "../data/dataset.js";
import { TrainerError } from "../errors.js";
import { suggestion } from "../options.js";
import {
  type HookName,
  type HookSignatures,
  type Hooks,
  hookDefinitions,
  hookNames,
  isAsync,
  type Stage,
  stages,
  type TapOptions,
} from "./hooks.js";
import { createLeakDetector, type LeakDetector } from "./leaks.js";
import type { LossTap } from "./loss-taps.js";
import { type AfterStepCall, type Call, checkTap, type Tap, type TapContext, type TapCost, wrapTap } from "./tap.js";
import type { AfterStepOptions } from "./types.js";

/** One tap of `afterStep`. */
export interface AfterStepTap {
  readonly plugin: string;
  readonly options: AfterStepOptions;
}

/** How the loop calls each hook. Waterfalls give the last value, questions the first answer. */
export type HookCalls = {
  readonly [K in HookName]: (
    ...args: K extends "beforeSample"
      ? [sample: Sample, epoch: number]
      : K extends "resolveOrder"
        ? [order: Int32Array, labels: ArrayLike<number>, epoch: number]
        : K extends "resolveCrop"
          ? [crop: Rectangle, source: SourceImage, epoch: number]
          : K extends "afterStep"
            ? [weights: ReadonlyMap<string, tf.Tensor>, contextOf: AfterStepCall]
            : Parameters<HookSignatures[K]>
  ) => ReturnType<HookSignatures[K]>;
};

/** A tap as `plan` prints it. */
export interface TapInfo {
  readonly hook: HookName;
  readonly plugin: string;
  readonly stage: Stage;
}

export interface HookSetOptions {
  seed: number;
  /** Longest wait for an asynchronous tap, seconds. */
  timeout?: number;
  /** Receives an observer's first failure; the observer is switched off. */
  onObserverFailure?: (error: TrainerError) => void;
  /** Receives one message for each hook in which a plugin leaks tensors. */
  onLeak?: (message: string) => void;
}

export interface HookSet {
  readonly call: HookCalls;
  /** The hooks as one plugin sees them; `observer` plugins are switched off at their first failure. */
  for(plugin: string, observer: boolean): Hooks;
  /** Calls no tap of an observer any more. */
  switchOff(plugin: string, error: TrainerError): void;
  isOff(plugin: string): boolean;
  /** Every tap in firing order. */
  taps(): TapInfo[];
  /** Whether every tap of a hook says that it is a function of tensors alone. */
  isPure(hook: HookName): boolean;
  /** The taps of `afterStep` in firing order, with what they own. */
  afterStepTaps(): AfterStepTap[];
  /** The taps of `afterLoss` in firing order, to be called one by one. */
  afterLossTaps(): LossTap[];
  /** Plugin -> hook -> cost. */
  costs(): ReadonlyMap<string, ReadonlyMap<HookName, TapCost>>;
  /** What failed in `onFitEnd`, where one failure must not skip the other taps. */
  endFailures(): readonly TrainerError[];
  /** Counts the tensors that plugins hold, in taps and in their other functions. */
  readonly leaks: LeakDetector;
}

/** After these a plugin holds what it holds from step to step and from epoch to epoch. */
const leakCheckHooks: readonly HookName[] = ["onStep", "shouldStop"];

/** The hooks of one trainer. Nothing is shared between two of them. */
export function createHooks({ seed, timeout = 600, onObserverFailure, onLeak = () => {} }: HookSetOptions): HookSet {
  const leaks = createLeakDetector(onLeak);
  const costs = new Map<string, Map<HookName, TapCost>>();
  const off = new Set<string>();
  const impure = new Set<HookName>();
  const endFailures: TrainerError[] = [];
  const afterStepOptions = new Map<string, AfterStepOptions>();
  const hooks = Object.fromEntries(hookNames.map((name) => [name, createHook(name)])) as Record<HookName, AnyHook>;

  function switchOff(plugin: string, error: TrainerError): void {
    if (off.has(plugin)) return;
    off.add(plugin);
    onObserverFailure?.(error);
  }

  /** Records a failure after which the run continues. @throws any other */
  function failed({ plugin, hook, observer }: Tap, error: TrainerError): void {
    if (observer) switchOff(plugin, error);
    else if (hook === "onFitEnd") endFailures.push(error);
    else throw error;
  }

  const shared: TapContext = { seed, timeout, leaks, costs, isOff: (plugin) => off.has(plugin), failed };

  function register(tap: Tap): void {
    const { plugin, hook, options } = tap;
    checkTap(tap);
    if (hook === "afterStep" && afterStepOptions.has(plugin)) {
      const message = `Plugin "${plugin}" taps "afterStep" twice, but its state can have only one owner. Use one tap.`;
      throw new TrainerError("ERR_PLUGIN", message, { plugin, hook });
    }
    if (hook === "afterStep") afterStepOptions.set(plugin, options as AfterStepOptions);
    if (!options.pure) impure.add(hook);
    const order = { name: plugin, stage: stages.indexOf(options.stage ?? "normal") };
    const wrapped = wrapTap(tap, shared);
    if (isAsync(hook)) (hooks[hook] as AsyncSeriesHook<any>).tapPromise(order, wrapped as () => Promise<void>);
    else (hooks[hook] as SyncHook<any>).tap(order, wrapped as () => void);
  }

  return {
    call: callsOf(hooks, leaks),
    for: (plugin, observer) =>
      hooksOf(plugin, (hook, options, handler) => register({ plugin, observer, hook, options, handler })),
    switchOff,
    isOff: (plugin) => off.has(plugin),
    taps: () =>
      hookNames.flatMap((hook) =>
        hooks[hook].taps.map((tap) => ({ hook, plugin: tap.name, stage: stages[tap.stage ?? 2]! })),
      ),
    afterStepTaps: () =>
      hooks.afterStep.taps
        .filter(({ name }) => !off.has(name))
        .map(({ name }) => ({ plugin: name, options: afterStepOptions.get(name)! })),
    afterLossTaps: () => hooks.afterLoss.taps.map(({ name, fn }) => ({ plugin: name, apply: fn as LossTap["apply"] })),
    isPure: (hook) => !impure.has(hook),
    costs: () => costs,
    endFailures: () => endFailures,
    leaks,
  };
}

type AnyHook =
  | SyncWaterfallHook<any>
  | SyncBailHook<any, any>
  | SyncHook<any>
  | AsyncSeriesHook<any>
  | AsyncSeriesWaterfallHook<any>;

function createHook(name: HookName): AnyHook {
  const { kind, arguments: names } = hookDefinitions[name];
  const list = [...names] as any;
  switch (kind) {
    case "waterfall":
      return new SyncWaterfallHook<any>(list);
    case "question":
      return new SyncBailHook<any, any>(list);
    case "notice":
      return new SyncHook<any>(list);
    case "asyncNotice":
      return new AsyncSeriesHook<any>(list);
    case "asyncWaterfall":
      return new AsyncSeriesWaterfallHook<any>(list);
  }
}

/** How the loop calls each hook. */
function callsOf(hooks: Record<HookName, AnyHook>, leaks: LeakDetector): HookCalls {
  const callOf = (name: HookName): Call => {
    const hook = hooks[name];
    if (isAsync(name)) return (...args) => (hook as AsyncSeriesHook<any>).promise(...(args as [unknown]));
    const call: Call = (...args) => (hook as SyncHook<any>).call(...(args as [unknown]));
    if (!leakCheckHooks.includes(name)) return call;
    return (...args) => {
      const result = call(...args);
      leaks.check();
      return result;
    };
  };
  return Object.fromEntries(hookNames.map((name) => [name, callOf(name)])) as unknown as HookCalls;
}

/** The hooks as one plugin sees them. An unknown name is refused, with a suggestion. */
function hooksOf(plugin: string, register: (hook: HookName, options: TapOptions, handler: Call) => void): Hooks {
  const entries = hookNames.map((hook) => {
    const tap = (first: unknown, second?: unknown): void =>
      second === undefined ? register(hook, {}, first as Call) : register(hook, first as TapOptions, second as Call);
    return [hook, Object.freeze({ tap })];
  });
  return new Proxy(Object.freeze(Object.fromEntries(entries)) as Hooks, {
    get(known, name) {
      if (typeof name === "symbol" || Object.hasOwn(known, name)) return known[name as HookName];
      const message = `Plugin "${plugin}" taps the unknown hook "${name}"${suggestion(name, hookNames)}.`;
      throw new TrainerError("ERR_PLUGIN", message, { plugin });
    },
  });
}

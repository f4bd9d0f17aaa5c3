/**
 * The hooks of one trainer at work. Each tap is wrapped once, when it is registered: its time is measured, its tensors
 * are counted, its errors are named, and what it returns is checked.
 */
import type * as tf from "@tensorflow/tfjs-core";
import { AsyncSeriesHook, AsyncSeriesWaterfallHook, SyncBailHook, SyncHook, SyncWaterfallHook } from "tapable";
import type { Rectangle, Sample, SourceImage } from "../data/dataset.js";
import { reasonOf, TrainerError } from "../errors.js";
import { suggestion } from "../options.js";
import { stream } from "../rng.js";
import { problemWith } from "./checks.js";
import {
  type HookKind,
  type HookName,
  type HookSignatures,
  type Hooks,
  hookDefinitions,
  hookNames,
  type Stage,
  stages,
  type TapOptions,
} from "./hooks.js";
import { createLeakDetector, type LeakDetector } from "./leaks.js";
import type { LossTap } from "./loss-taps.js";
import type { AfterStepContext, AfterStepOptions } from "./types.js";

/** One tap of `afterStep`. */
export interface AfterStepTap {
  readonly plugin: string;
  readonly options: AfterStepOptions;
}

/** What `afterStep` is called with: a context for each tap that runs in this step, none for the others. */
export type AfterStepCall = (plugin: string) => AfterStepContext | undefined;

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

/** Time a plugin's taps of one hook took so far. */
export interface TapCost {
  calls: number;
  milliseconds: number;
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

type Call = (...args: unknown[]) => unknown;

/** After these a plugin holds what it holds from step to step and from epoch to epoch. */
const leakCheckHooks = ["onStep", "shouldStop"] as const;

/** The hooks of one trainer. Nothing is shared between two of them. */
export function createHooks({ seed, timeout = 600, onObserverFailure, onLeak = () => {} }: HookSetOptions): HookSet {
  const leaks = createLeakDetector(onLeak);
  const costs = new Map<string, Map<HookName, TapCost>>();
  const off = new Set<string>();
  const impure = new Set<HookName>();
  const endFailures: TrainerError[] = [];
  const afterStepOptions = new Map<string, AfterStepOptions>();
  const hooks = Object.fromEntries(hookNames.map((name) => [name, createHook(name)])) as Record<HookName, AnyHook>;
  const call = Object.fromEntries(hookNames.map((name) => [name, callOf(name, hooks[name])])) as Record<HookName, Call>;
  for (const name of leakCheckHooks) {
    const fire = call[name];
    call[name] = (...args) => {
      const result = fire(...args);
      leaks.check();
      return result;
    };
  }

  function switchOff(plugin: string, error: TrainerError): void {
    if (off.has(plugin)) return;
    off.add(plugin);
    onObserverFailure?.(error);
  }

  function costOf(plugin: string, hook: HookName): TapCost {
    const byHook = costs.get(plugin) ?? costs.set(plugin, new Map()).get(plugin)!;
    return byHook.get(hook) ?? byHook.set(hook, { calls: 0, milliseconds: 0 }).get(hook)!;
  }

  function register(plugin: string, observer: boolean, hook: HookName, options: TapOptions, handler: Call): void {
    checkTap(plugin, hook, options, handler);
    if (hook === "afterStep" && afterStepOptions.has(plugin)) {
      const message = `Plugin "${plugin}" taps "afterStep" twice, but its state can have only one owner. Use one tap.`;
      throw new TrainerError("ERR_PLUGIN", message, { plugin, hook });
    }
    const { kind } = hookDefinitions[hook];
    const cost = costOf(plugin, hook);
    const charge = (since: number): void => {
      cost.calls++;
      cost.milliseconds += performance.now() - since;
    };
    /** What the next tap receives from one that is switched off. */
    const passedOn = (value: unknown): unknown => (isWaterfall(kind) ? value : undefined);
    const failed = (cause: unknown, value: unknown): unknown => {
      // Another plugin's, at a hook that this one made the loop call: `run.plan()` asks for every learning rate.
      if (cause instanceof TrainerError && cause.hook && cause.plugin !== plugin && costs.has(cause.plugin!))
        throw cause;
      const code = cause instanceof TrainerError ? cause.code : "ERR_PLUGIN";
      const message = `Plugin "${plugin}" failed in hook "${hook}": ${reasonOf(cause)}`;
      const error = new TrainerError(code, message, { cause, plugin, hook });
      if (observer) switchOff(plugin, error);
      else if (hook === "onFitEnd") endFailures.push(error);
      else throw error;
      return passedOn(value);
    };
    const accept = (next: unknown, args: unknown[]): unknown => {
      if (isNotice(kind)) return undefined;
      const problem = problemWith(hook, next, args, options);
      if (problem !== undefined) throw new TrainerError("ERR_PLUGIN", problem); // says everything: no place is printed
      return next;
    };
    const argumentsOf = (args: unknown[]): unknown[] => {
      if (hook === "afterStep") return [args[0], (args[1] as AfterStepCall)(plugin)];
      if (hook !== "beforeSample" && hook !== "resolveCrop" && hook !== "resolveOrder") return args;
      const epoch = args.at(-1) as number;
      if (hook === "resolveOrder") return [args[0], args[1], stream(seed, `${plugin}/${hook}`, epoch), epoch];
      const { index } = args.at(-2) as Sample | SourceImage;
      return [...args.slice(0, -1), stream(seed, `${plugin}/${hook}`, epoch, index), epoch];
    };

    const synchronous: Call = (...args) => {
      if (off.has(plugin)) return passedOn(args[0]);
      if (hook === "afterStep" && !(args[1] as AfterStepCall)(plugin)) return args[0]; // not in this step
      const since = performance.now();
      try {
        const next = leaks.watch(plugin, hook, () => handler(...argumentsOf(args)));
        if (isPromise(next)) {
          next.then(undefined, () => undefined);
          throw new TrainerError("ERR_PLUGIN", "it returned a promise. This hook is synchronous.");
        }
        return accept(next, args);
      } catch (cause) {
        return failed(cause, args[0]);
      } finally {
        charge(since);
      }
    };
    const asynchronous = async (...args: unknown[]): Promise<unknown> => {
      if (off.has(plugin)) return passedOn(args[0]);
      const since = performance.now();
      try {
        return accept(await leaks.watchAsync(plugin, hook, () => withTimeout(timeout, handler(...args))), args);
      } catch (cause) {
        return failed(cause, args[0]);
      } finally {
        charge(since);
      }
    };

    if (hook === "afterStep") afterStepOptions.set(plugin, options as AfterStepOptions);
    if (!options.pure) impure.add(hook);
    const order = { name: plugin, stage: stages.indexOf(options.stage ?? "normal") };
    if (isAsync(kind)) (hooks[hook] as AsyncSeriesHook<any>).tapPromise(order, asynchronous as () => Promise<void>);
    else (hooks[hook] as SyncHook<any>).tap(order, synchronous as () => void);
  }

  return {
    call: call as HookCalls,
    for(plugin, observer) {
      const entries = hookNames.map((hook) => {
        const tap = (first: unknown, second?: unknown): void =>
          second === undefined
            ? register(plugin, observer, hook, {}, first as Call)
            : register(plugin, observer, hook, first as TapOptions, second as Call);
        return [hook, Object.freeze({ tap })];
      });
      return new Proxy(Object.freeze(Object.fromEntries(entries)) as Hooks, {
        get(known, name) {
          if (typeof name === "symbol" || Object.hasOwn(known, name)) return known[name as HookName];
          const message = `Plugin "${plugin}" taps the unknown hook "${name}"${suggestion(name, hookNames)}.`;
          throw new TrainerError("ERR_PLUGIN", message, { plugin });
        },
      });
    },
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

const callOf = (name: HookName, hook: AnyHook): Call =>
  isAsync(hookDefinitions[name].kind)
    ? (...args) => (hook as AsyncSeriesHook<any>).promise(...(args as [unknown]))
    : (...args) => (hook as SyncHook<any>).call(...(args as [unknown]));

const isAsync = (kind: HookKind): boolean => kind === "asyncNotice" || kind === "asyncWaterfall";
const isNotice = (kind: HookKind): boolean => kind === "notice" || kind === "asyncNotice";
const isWaterfall = (kind: HookKind): boolean => kind === "waterfall" || kind === "asyncWaterfall";

/** Hooks whose taps may be part of a graph. */
const graphHooks: readonly HookName[] = ["afterLoss", "beforeStep"];
const tapOptions = (hook: HookName): string[] =>
  hook === "afterStep"
    ? ["stage", "state", "numbers"]
    : ["stage", "pure", ...(hook === "beforeBatch" ? ["weighs"] : [])];

/** Refuses a tap that cannot work. @throws TrainerError ERR_PLUGIN */
function checkTap(plugin: string, hook: HookName, options: TapOptions, handler: unknown): void {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_PLUGIN", `Plugin "${plugin}" cannot tap "${hook}": ${problem}`, { plugin, hook });
  };
  const { stage = "normal", pure } = options;
  if (typeof handler !== "function") return refuse(`expected a function, got ${typeof handler}.`);
  if (!stages.includes(stage)) refuse(`unknown stage "${String(stage)}"${suggestion(String(stage), stages)}.`);
  const known = tapOptions(hook);
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) refuse(`unknown tap option "${unknown}"${suggestion(unknown, known)}.`);
  if (pure && !graphHooks.includes(hook))
    refuse(`"pure" is for ${graphHooks.map((each) => `"${each}"`).join(" and ")} only.`);
  if (!isAsync(hookDefinitions[hook].kind) && handler.constructor.name === "AsyncFunction") {
    refuse("this hook is synchronous, got an asynchronous function. Everything inside a step is synchronous.");
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

/** Waits for a promise, but not forever: a tap that never settles would hang the run in silence. */
async function withTimeout<T>(seconds: number, value: T | PromiseLike<T>): Promise<T> {
  if (!isPromise(value)) return value;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `it did not settle within ${seconds} s. If it needs longer, set hookTimeout in the config.`;
    timer = setTimeout(() => reject(new TrainerError("ERR_PLUGIN", message)), 1000 * seconds);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

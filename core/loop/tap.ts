/** One tap at work: its time is measured, its tensors are counted, its errors are named, and what it returns is checked. */
import type { Sample, SourceImage } from "../data/dataset.js";
import { reasonOf, TrainerError } from "../errors.js";
import { suggestion } from "../options.js";
import { stream } from "../rng.js";
import { problemWith } from "./checks.js";
import { type HookName, isAsync, isNotice, isWaterfall, stages, type TapOptions } from "./hooks.js";
import type { LeakDetector } from "./leaks.js";
import type { AfterStepContext } from "./types.js";

export type Call = (...args: unknown[]) => unknown;

/** What a plugin registers at a hook. */
export interface Tap {
  readonly plugin: string;
  /** Whether the plugin is an observer. */
  readonly observer: boolean;
  readonly hook: HookName;
  readonly options: TapOptions;
  readonly handler: Call;
}

/** What `afterStep` is called with: a context for each tap that runs in this step, none for the others. */
export type AfterStepCall = (plugin: string) => AfterStepContext | undefined;

/** Time a plugin's taps of one hook took so far. */
export interface TapCost {
  calls: number;
  milliseconds: number;
}

/** What the taps of one trainer share. */
export interface TapContext {
  readonly seed: number;
  /** Longest wait for an asynchronous tap, seconds. */
  readonly timeout: number;
  readonly leaks: LeakDetector;
  /** Plugin -> hook -> cost. */
  readonly costs: Map<string, Map<HookName, TapCost>>;
  isOff(plugin: string): boolean;
  /** Receives each failure, and throws it unless the run continues. */
  failed(tap: Tap, error: TrainerError): void;
}

/** What tapable calls in the place of a tap's handler; a promise at an asynchronous hook. */
export function wrapTap(tap: Tap, context: TapContext): Call {
  const { plugin, hook, handler } = tap;
  const { seed, timeout, leaks, isOff } = context;
  const cost = costOf(tap, context.costs);
  const charge = (since: number): void => {
    cost.calls++;
    cost.milliseconds += performance.now() - since;
  };
  /** What the next tap receives from one that is switched off. */
  const passedOn = (value: unknown): unknown => (isWaterfall(hook) ? value : undefined);
  const failed = (cause: unknown, value: unknown): unknown => {
    context.failed(tap, failureOf(tap, cause, context.costs));
    return passedOn(value);
  };

  const synchronous: Call = (...args) => {
    if (isOff(plugin)) return passedOn(args[0]);
    if (hook === "afterStep" && !(args[1] as AfterStepCall)(plugin)) return args[0]; // not in this step
    const since = performance.now();
    try {
      const next = leaks.watch(plugin, hook, () => handler(...argumentsOf(tap, args, seed)));
      if (isPromise(next)) {
        next.then(undefined, () => undefined);
        throw new TrainerError("ERR_PLUGIN", "it returned a promise. This hook is synchronous.");
      }
      return accepted(tap, next, args);
    } catch (cause) {
      return failed(cause, args[0]);
    } finally {
      charge(since);
    }
  };
  const asynchronous = async (...args: unknown[]): Promise<unknown> => {
    if (isOff(plugin)) return passedOn(args[0]);
    const since = performance.now();
    try {
      return accepted(tap, await leaks.watchAsync(plugin, hook, () => withTimeout(timeout, handler(...args))), args);
    } catch (cause) {
      return failed(cause, args[0]);
    } finally {
      charge(since);
    }
  };
  return isAsync(hook) ? asynchronous : synchronous;
}

function costOf({ plugin, hook }: Tap, costs: TapContext["costs"]): TapCost {
  const byHook = costs.get(plugin) ?? costs.set(plugin, new Map()).get(plugin)!;
  return byHook.get(hook) ?? byHook.set(hook, { calls: 0, milliseconds: 0 }).get(hook)!;
}

/** What a handler is called with: random hooks get a stream of their own, and `afterStep` the plugin's context. */
function argumentsOf({ plugin, hook }: Tap, args: readonly unknown[], seed: number): readonly unknown[] {
  if (hook === "afterStep") return [args[0], (args[1] as AfterStepCall)(plugin)];
  if (hook !== "beforeSample" && hook !== "resolveCrop" && hook !== "resolveOrder") return args;
  const epoch = args.at(-1) as number;
  if (hook === "resolveOrder") return [args[0], args[1], stream(seed, `${plugin}/${hook}`, epoch), epoch];
  const { index } = args.at(-2) as Sample | SourceImage;
  return [...args.slice(0, -1), stream(seed, `${plugin}/${hook}`, epoch, index), epoch];
}

/** What a handler returned, checked. @throws TrainerError ERR_PLUGIN */
function accepted({ hook, options }: Tap, next: unknown, args: readonly unknown[]): unknown {
  if (isNotice(hook)) return undefined;
  const problem = problemWith(hook, next, args, options);
  if (problem !== undefined) throw new TrainerError("ERR_PLUGIN", problem); // says everything: no place is printed
  return next;
}

/** The error that names plugin and hook. @throws the failure of another plugin as it is */
function failureOf({ plugin, hook }: Tap, cause: unknown, costs: TapContext["costs"]): TrainerError {
  // Another plugin's, at a hook that this one made the loop call: `run.plan()` asks for every learning rate.
  if (cause instanceof TrainerError && cause.hook && cause.plugin !== plugin && costs.has(cause.plugin!)) throw cause;
  const code = cause instanceof TrainerError ? cause.code : "ERR_PLUGIN";
  const message = `Plugin "${plugin}" failed in hook "${hook}": ${reasonOf(cause)}`;
  return new TrainerError(code, message, { cause, plugin, hook });
}

/** Hooks whose taps may be part of a graph. */
const graphHooks: readonly HookName[] = ["afterLoss", "beforeStep"];
const tapOptions = (hook: HookName): string[] =>
  hook === "afterStep"
    ? ["stage", "state", "numbers"]
    : ["stage", "pure", ...(hook === "beforeBatch" ? ["weighs"] : [])];

/** Refuses a tap that cannot work. @throws TrainerError ERR_PLUGIN */
export function checkTap({ plugin, hook, options, handler }: Tap): void {
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
  if (!isAsync(hook) && handler.constructor.name === "AsyncFunction") {
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

/** Plugins at work: applied to one trainer's hooks, saved, loaded and disposed of. */
import type { Emitter } from "mitt";
import type { ResolvedConfig } from "../config/config.js";
import { reasonOf, TrainerError } from "../errors.js";
import { show } from "../options.js";
import { stream } from "../rng.js";
import type { Events } from "./events.js";
import type { HookSet } from "./hook-set.js";
import type { Plugin, PluginContext, PluginInstance, PluginState } from "./plugin.js";

export interface AppliedPlugin {
  readonly plugin: Plugin;
  readonly instance: PluginInstance;
}

/**
 * Lets each plugin tap its hooks, in the config's order; `extensions` belong to the caller. Where one
 * fails, those before it are disposed of.
 */
export function applyPlugins(
  config: ResolvedConfig,
  hookSet: HookSet,
  events: Emitter<Events>,
  extensions: readonly Plugin[] = [],
): AppliedPlugin[] {
  const applied: AppliedPlugin[] = [];
  for (const plugin of [...config.plugins, ...extensions]) {
    const { name, observer = false } = plugin;
    const context: PluginContext = {
      hooks: hookSet.for(name, observer),
      events,
      stream: (...keys) => stream(config.seed, name, ...keys),
      config,
    };
    try {
      const instance = hookSet.leaks.watch(name, "apply", () => plugin.apply(context));
      if (instance !== undefined && (instance === null || typeof instance !== "object" || "then" in instance)) {
        const found = instance !== null && typeof instance === "object" ? "a promise" : show(instance);
        throw new Error(`expected { save?, load?, dispose? } or nothing, got ${found}.`);
      }
      applied.push({ plugin, instance: wrap(plugin, instance ?? {}, hookSet) });
    } catch (cause) {
      disposePlugins(applied);
      throw cause instanceof TrainerError && cause.plugin === name ? cause : failureIn("apply", name, cause);
    }
  }
  return applied;
}

/** A plugin's failure outside its taps. */
export function failureIn(what: "apply" | "save" | "load" | "dispose", plugin: string, cause: unknown): TrainerError {
  return new TrainerError("ERR_PLUGIN", `Plugin "${plugin}" failed in ${what}: ${reasonOf(cause)}`, { cause, plugin });
}

/**
 * The one wrapper around what `apply` returned. Tensors are counted, what `save` gives is checked, and an observer that
 * fails is switched off, as after a failure in a tap.
 */
function wrap(
  { name, observer }: Plugin,
  instance: PluginInstance,
  { leaks, isOff, switchOff }: HookSet,
): PluginInstance {
  const attempt = <T>(what: "save" | "load" | "dispose", fallback: T, call: () => T): T => {
    if (observer && what !== "dispose" && isOff(name)) return fallback;
    try {
      return leaks.watch(name, what, call);
    } catch (cause) {
      if (!observer) throw cause;
      switchOff(name, failureIn(what, name, cause));
      return fallback;
    }
  };
  return {
    save: instance.save && (() => attempt("save", {}, () => checkedState(instance.save!()))),
    load:
      instance.load &&
      ((state) => {
        leaks.adopt(name, state.tensors?.size ?? 0);
        attempt("load", undefined, () => instance.load!(state));
      }),
    dispose() {
      attempt("dispose", undefined, () => instance.dispose?.());
      leaks.close(name);
    },
  };
}

/** A state that a checkpoint can hold. */
function checkedState(state: PluginState): PluginState {
  if (state === null || typeof state !== "object")
    throw new Error(`expected { values?, tensors? }, got ${show(state)}.`);
  const problem = notPlain(state.values, "values");
  if (problem !== undefined)
    throw new Error(`${problem}. A checkpoint holds plain data: numbers, text, lists, objects.`);
  return state;
}

/** Where and what the first value is that JSON does not know. */
function notPlain(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null || ["boolean", "number", "string"].includes(typeof value)) return undefined;
  const prototype: unknown = typeof value === "object" && Object.getPrototypeOf(value);
  if (Array.isArray(value) || prototype === Object.prototype || prototype === null) {
    for (const [key, item] of Object.entries(value)) {
      const found = notPlain(item, `${where}.${key}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  return `${where} is ${typeof value === "object" ? `a ${value.constructor.name}` : `of type ${typeof value}`}`;
}

/** Disposes of every plugin once, whatever the others do; returns what failed. */
export function disposePlugins(applied: readonly AppliedPlugin[]): TrainerError[] {
  return applied.flatMap(({ plugin: { name }, instance }) => {
    try {
      instance.dispose?.();
      return [];
    } catch (cause) {
      return [failureIn("dispose", name, cause)];
    }
  });
}

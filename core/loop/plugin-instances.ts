/** Plugins at work: applied to one trainer's hooks, saved, loaded and disposed of. */
import type { Emitter } from "mitt";
import type { ResolvedConfig } from "../config/config.js";
import { reasonOf, TrainerError } from "../errors.js";
import { stream } from "../rng.js";
import type { Events } from "./events.js";
import type { HookSet } from "./hooks.js";
import type { Ledger } from "./leaks.js";
import type { Plugin, PluginContext, PluginInstance } from "./plugin.js";

export interface AppliedPlugin {
  readonly plugin: Plugin;
  readonly instance: PluginInstance;
}

/**
 * Lets each plugin tap its hooks, in the config's order; `extensions` belong to whoever runs the config. Where one
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
      const instance = hookSet.ledger.counted(name, "apply", () => plugin.apply(context));
      if (instance !== undefined && (instance === null || typeof instance !== "object" || "then" in instance)) {
        throw new Error("apply returns { save?, load?, dispose? } or nothing, and not a promise.");
      }
      const whole = checked(instance ?? {});
      const own = observer ? forgiven(name, whole, hookSet) : whole;
      applied.push({ plugin, instance: counted(name, own, hookSet.ledger) });
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

/** An instance whose `save` gives what can be kept. */
function checked(instance: PluginInstance): PluginInstance {
  const { save } = instance;
  if (!save) return instance;
  return {
    save() {
      const state = save.call(instance);
      if (state === null || typeof state !== "object") throw new Error("save returns { values?, tensors? }.");
      const strange = notPlain(state.values, "values");
      if (strange !== undefined)
        throw new Error(`${strange}, and a checkpoint keeps plain data: numbers, text, lists, objects.`);
      return state;
    },
    load: instance.load && ((state) => instance.load!(state)),
    dispose: instance.dispose && (() => instance.dispose!()),
  };
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

/** An observer's instance: what fails in it switches the plugin off, as what fails in a tap does. */
function forgiven(plugin: string, instance: PluginInstance, { switchOff, isOff }: HookSet): PluginInstance {
  const attempt = <T>(what: "save" | "load" | "dispose", call: () => T, otherwise: T): T => {
    if (what !== "dispose" && isOff(plugin)) return otherwise;
    try {
      return call();
    } catch (cause) {
      switchOff(plugin, failureIn(what, plugin, cause));
      return otherwise;
    }
  };
  const { save, load, dispose } = instance;
  return {
    save: save && (() => attempt("save", () => save.call(instance), {})),
    load: load && ((state) => attempt("load", () => load.call(instance, state), undefined)),
    dispose: dispose && (() => attempt("dispose", () => dispose.call(instance), undefined)),
  };
}

/** A plugin's own functions, with the tensors that they make and free on its account. */
function counted(name: string, instance: PluginInstance, ledger: Ledger): PluginInstance {
  const { save, load } = instance;
  return {
    save: save && (() => ledger.counted(name, "save", () => save.call(instance))),
    load:
      load &&
      ((state) => {
        ledger.given(name, state.tensors?.size ?? 0);
        ledger.counted(name, "load", () => load.call(instance, state));
      }),
    dispose() {
      ledger.counted(name, "dispose", () => instance.dispose?.());
      ledger.close(name);
    },
  };
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

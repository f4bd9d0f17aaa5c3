/** The plugin contract, and what makes a list of plugins one composition. */
import type { Emitter } from "mitt";
import type { z } from "zod";
import type { ResolvedConfig } from "../config/config.js";
import { reasonOf, TrainerError } from "../errors.js";
import { partFactory } from "../options.js";
import { type Stream, stream } from "../rng.js";
import type { Events } from "./events.js";
import type { HookSet, Hooks } from "./hooks.js";
import type { Ledger } from "./leaks.js";

/** What a plugin is given once for each trainer it serves. State lives in the closure of `apply`. */
export interface PluginContext {
  readonly hooks: Hooks;
  readonly events: Emitter<Events>;
  /** A random stream of this plugin's own, for up to three integer keys such as (epoch, micro-batch). */
  stream(...keys: [number?, number?, number?]): Stream;
  /** The whole run's settings, the other plugins' names and options included. */
  readonly config: ResolvedConfig;
}

/** What a plugin keeps: JSON values and tensors by name. */
export interface PluginState {
  readonly values?: unknown;
  readonly tensors?: ReadonlyMap<string, import("@tensorflow/tfjs-core").Tensor>;
}

/** What `apply` may return. */
export interface PluginInstance {
  /** State that a resumed run needs. Tensors stay the plugin's own. */
  save?(): PluginState;
  /** Takes over what `save` gave. Tensors given here are the plugin's from then on. */
  load?(state: PluginState): void;
  /** Frees what the plugin keeps; called once, also after a failure. */
  dispose?(): void;
}

/** Something to say about a composition: an error refuses it, a note is printed by `plan`. */
export interface Remark {
  readonly level: "error" | "note";
  readonly text: string;
}

export interface Plugin {
  /** kebab-case, unique in a run. */
  readonly name: string;
  /** Plain JSON; they go into the run's record. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Plugins that must be there, and that must not. */
  readonly requires?: readonly string[];
  readonly conflicts?: readonly string[];
  /** What only one plugin may hold: "schedule", "mixing", … */
  readonly slot?: string;
  /** Only watches: its failure disables it and the run goes on. */
  readonly observer?: boolean;
  /** What the plugin has to say about the rest of the run; called when the trainer is built. */
  check?(config: ResolvedConfig): readonly Remark[];
  apply(context: PluginContext): PluginInstance | void;
}

/** What a plugin file declares; `definePlugin` turns it into the factory that configs call. */
export interface PluginDefinition<S extends z.ZodObject> {
  name: string;
  /** One line for `trainer plugins`. */
  summary: string;
  /** A strict object; defaults and `describe` make the documentation. */
  options: S;
  requires?: readonly string[];
  conflicts?: readonly string[];
  slot?: string;
  observer?: boolean;
  check?(options: z.output<S>, config: ResolvedConfig): readonly Remark[];
  apply(options: z.output<S>, context: PluginContext): PluginInstance | void;
}

/** Makes a plugin from options, and knows its definition. */
export interface PluginFactory<S extends z.ZodObject = z.ZodObject> {
  (options?: z.input<S>): Plugin;
  readonly definition: PluginDefinition<S>;
}

/**
 * Turns a definition into a factory that checks its options.
 *
 * @throws from the factory: TrainerError ERR_OPTION for an unknown or unfit option, with a suggestion
 */
export function definePlugin<S extends z.ZodObject>(definition: PluginDefinition<S>): PluginFactory<S> {
  const { name, requires, conflicts, slot, observer } = definition;
  const factory = partFactory(
    "plugin",
    name,
    definition.options,
    (options): Plugin =>
      Object.freeze({
        name,
        options: options as Readonly<Record<string, unknown>>,
        requires,
        conflicts,
        slot,
        observer,
        check: (config: ResolvedConfig) => definition.check?.(options, config) ?? [],
        apply: (context: PluginContext) => definition.apply(options, context),
      }),
  );
  return Object.assign(factory, { definition });
}

/** The options of a plugin in a config, or undefined when it is not there. */
export function optionsOf<S extends z.ZodObject>(
  config: ResolvedConfig,
  factory: PluginFactory<S>,
): z.output<S> | undefined {
  return config.plugins.find(({ name }) => name === factory.definition.name)?.options as z.output<S> | undefined;
}

/**
 * Refuses what cannot go together.
 *
 * @param taken names of plugins that whoever runs the config adds: state and random streams go by the name
 * @returns the notes, for `plan`
 * @throws TrainerError ERR_COMPOSITION listing every mistake at once: what, where, and what to do
 */
export function checkComposition(config: ResolvedConfig, taken: readonly string[] = []): string[] {
  const { plugins } = config;
  const mistakes: string[] = [];
  const names = plugins.map(({ name }) => name);
  for (const name of new Set(names.filter((name, index) => names.indexOf(name) !== index))) {
    mistakes.push(`Plugin "${name}" is there twice. Remove one of them.`);
  }
  for (const name of taken.filter((name) => names.includes(name))) {
    mistakes.push(`Plugin "${name}" has a name that the run itself uses. Give it another.`);
  }
  const slots = new Map<string, string>();
  for (const { name, requires = [], conflicts = [], slot } of plugins) {
    for (const need of requires.filter((need) => !names.includes(need))) {
      mistakes.push(`Plugin "${name}" needs plugin "${need}". Add it, or remove "${name}".`);
    }
    for (const foe of conflicts.filter((foe) => names.includes(foe))) {
      mistakes.push(`Plugins "${name}" and "${foe}" cannot be combined. Remove one of them.`);
    }
    const holder = slot === undefined ? undefined : slots.get(slot);
    if (holder !== undefined && holder !== name) {
      mistakes.push(`Plugins "${holder}" and "${name}" both set the ${slot}. Remove one of them.`);
    }
    if (slot !== undefined) slots.set(slot, name);
  }
  const remarks = plugins.flatMap((plugin) => plugin.check?.(config) ?? []);
  mistakes.push(...remarks.filter(({ level }) => level === "error").map(({ text }) => text));
  if (mistakes.length > 0) throw new TrainerError("ERR_COMPOSITION", [...new Set(mistakes)].join("\n"));
  return remarks.filter(({ level }) => level === "note").map(({ text }) => text);
}

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

/** The plugin contract: what a plugin declares, receives and returns. */
import type { Emitter } from "mitt";
import type { z } from "zod";
import type { RunConfig } from "../config/settings.js";
import { type Part, partFactory } from "../parts.js";
import type { Stream } from "../rng.js";
import type { Events } from "./events.js";
import type { Hooks } from "./hooks.js";

/** What a plugin is given once for each trainer it serves. State lives in the closure of `apply`. */
export interface PluginContext {
  readonly hooks: Hooks;
  readonly events: Emitter<Events>;
  /** A random stream of this plugin's own, for up to three integer keys such as (epoch, micro-batch). */
  stream(...keys: [number?, number?, number?]): Stream;
  /** The whole run's settings, the other plugins' names and options included. */
  readonly config: RunConfig;
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
  readonly level: "error" | "hint";
  readonly text: string;
}

/** What a plugin checks files with, beside Node's own means. */
export interface FileChecks {
  /** @throws TrainerError ERR_DATA for a folder that is no finished run */
  run(folder: string): Promise<void>;
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
  /** Only watches: its failure disables it and the run continues. */
  readonly observer?: boolean;
  /** What the plugin has to say about the rest of the run; called when the trainer is built. */
  check?(config: RunConfig): readonly Remark[];
  /** Reads the files that a fit will need, and throws for those that it could not use; `trainer plan` asks. */
  checkFiles?(checks: FileChecks): Promise<void>;
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
  check?(options: z.output<S>, config: RunConfig): readonly Remark[];
  checkFiles?(options: z.output<S>, checks: FileChecks): Promise<void>;
  apply(options: z.output<S>, context: PluginContext): PluginInstance | void;
}

/** Makes a part of a config from options, and knows its definition. */
export interface PluginFactory<S extends z.ZodObject = z.ZodObject> {
  (options?: z.input<S>): Part<Plugin>;
  readonly definition: PluginDefinition<S>;
}

const definitions = new WeakMap<Plugin, PluginDefinition<z.ZodObject>>();

/** The definition that a made plugin comes from; undefined for one written by hand. */
export const definitionOf = (plugin: Plugin): PluginDefinition<z.ZodObject> | undefined => definitions.get(plugin);

/** Turns a definition into a factory of parts. Options are checked together with the config that they are in. */
export function definePlugin<S extends z.ZodObject>(definition: PluginDefinition<S>): PluginFactory<S> {
  const { name, requires, conflicts, slot, observer } = definition;
  const factory = partFactory("plugin", name, definition.options, (options): Plugin => {
    const plugin: Plugin = Object.freeze({
      name,
      options: options as Readonly<Record<string, unknown>>,
      requires,
      conflicts,
      slot,
      observer,
      check: (config: RunConfig) => definition.check?.(options, config) ?? [],
      checkFiles: async (checks: FileChecks) => definition.checkFiles?.(options, checks),
      apply: (context: PluginContext) => definition.apply(options, context),
    });
    definitions.set(plugin, definition as unknown as PluginDefinition<z.ZodObject>);
    return plugin;
  });
  return Object.assign(factory, { definition });
}

/** The error of a plugin that does something in the last epochs, in a run whose time decides which these are. */
export function needsEpochs(plugin: string): Remark {
  const text =
    `Plugin "${plugin}" must know which epochs are the last, and with maxTime that is not known before the end. ` +
    `Set epochs instead of maxTime, or remove "${plugin}".`;
  return { level: "error", text };
}

/** The error of a plugin that only TensorFlow can run, in a config that asks for another backend. */
export function needsTensorFlow(plugin: string, { backend }: Pick<RunConfig, "backend">): Remark[] {
  if (backend === undefined || backend === "tensorflow") return [];
  const text =
    `Plugin "${plugin}" needs TensorFlow, and the backend is ${backend}. Install it with \`trainer backend install\` and set ` +
    `backend: "tensorflow", or remove "${plugin}".`;
  return [{ level: "error", text }];
}

/** The options of a plugin in a config, or undefined when it is not there. */
export function optionsOf<S extends z.ZodObject>(
  config: RunConfig,
  factory: PluginFactory<S>,
): z.output<S> | undefined {
  return config.plugins.find(({ name }) => name === factory.definition.name)?.options as z.output<S> | undefined;
}

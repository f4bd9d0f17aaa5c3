/** What makes a list of plugins one composition. */
import type { ResolvedConfig } from "../config/config.js";
import { TrainerError } from "../errors.js";

/**
 * Refuses what cannot go together.
 *
 * @param taken names of plugins that the caller adds: state and random streams go by the name
 * @returns the hints, for `plan`
 * @throws TrainerError ERR_COMPOSITION listing every mistake at once: what, where, and what to do
 */
export function checkComposition(config: ResolvedConfig, taken: readonly string[] = []): string[] {
  const { plugins } = config;
  const mistakes: string[] = [];
  const names = plugins.map(({ name }) => name);
  for (const name of new Set(names.filter((name, index) => names.indexOf(name) !== index))) {
    mistakes.push(`Plugin "${name}" was added twice. Remove one of them.`);
  }
  for (const name of taken.filter((name) => names.includes(name))) {
    mistakes.push(`Plugin "${name}" has a name that the run itself uses. Rename it.`);
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
  return remarks.filter(({ level }) => level === "hint").map(({ text }) => text);
}

/** A config of built-in parts as the TypeScript that makes it. */
import type { TrainerConfig } from "../core/config/config.js";
import * as data from "../core/data/index.js";
import { TrainerError } from "../core/errors.js";
import { adamw, sgd } from "../core/index.js";
import * as models from "../core/models/index.js";
import { isOfFactory, isPart, type Part } from "../core/parts.js";
import * as plugins from "../plugins/index.js";

/** Entry of the package -> what it exports. */
const entries: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  fitloop: { adamw, sgd },
  "fitloop/data": data,
  "fitloop/models": models,
  "fitloop/plugins": plugins,
};

interface AnyPart {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * The source of a config module.
 *
 * @throws TrainerError ERR_CONFIG for a part that no factory of the package made
 */
export function configSource(config: TrainerConfig): string {
  const imports = new Map<string, Set<string>>([["fitloop", new Set(["defineConfig"])]]);
  const call = (part: AnyPart): string => {
    const { entry, factory } = factoryOf(part);
    imports.set(entry, (imports.get(entry) ?? new Set()).add(factory));
    return `${factory}(${Object.keys(part.options).length === 0 ? "" : literal(part.options)})`;
  };
  const fields = Object.entries(config)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      if (key === "plugins") {
        const lines = (value as readonly AnyPart[]).map((plugin) => `    ${call(plugin)},`);
        return `  plugins: [\n${lines.join("\n")}\n  ],`;
      }
      return `  ${key}: ${isPart(value) ? call(value) : literal(value)},`;
    });
  const lines = [...imports].map(([entry, names]) => `import { ${[...names].sort().join(", ")} } from "${entry}";`);
  return `${lines.join("\n")}\n\nexport default defineConfig({\n${fields.join("\n")}\n});\n`;
}

/** The exported function that made a part, and where it is exported. */
function factoryOf(given: AnyPart): { entry: string; factory: string } {
  for (const [entry, exported] of Object.entries(entries)) {
    for (const [factory, value] of Object.entries(exported)) {
      if (isFactory(value) && isOfFactory(given, value())) return { entry, factory };
    }
  }
  throw new TrainerError("ERR_CONFIG", `The part "${given.name}" is none of fitloop's own.`);
}

/** Factories alone have a schema; they take no argument for a part with defaults, which nobody checks. */
const isFactory = (value: unknown): value is () => Part =>
  typeof value === "function" && ("schema" in value || "definition" in value);

/** A value as source: keys without quotes where they need none. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)}: ${literal(each)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/**
 * Finding and loading a `trainer.config.ts`.
 *
 * cosmiconfig finds the file; tsx loads it, since cosmiconfig's own TypeScript loader writes a file beside the config.
 * `register()` and `import()` share one instance of this package, and so of tf.js, with the config: a second copy would
 * have its own tensors. That needs a module: `.mts`, or a package of `"type": "module"`.
 */
import { existsSync } from "node:fs";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { cosmiconfig, type Loader } from "cosmiconfig";
import { register } from "tsx/esm/api";
import { TrainerError } from "../errors.js";
import { show } from "../options.js";
import type { TrainerConfig } from "./config.js";

/** Where a config is looked for, in this order, from the working directory upwards. */
export const configPlaces = ["trainer.config.ts", "trainer.config.mts", "trainer.config.js", "trainer.config.mjs"];

/** Longest wait for a config that is a promise or an asynchronous function. */
const patience = 10_000;

export interface LoadedConfig {
  readonly config: TrainerConfig;
  readonly file: string;
}

/**
 * Loads `file`, or the nearest config from `from` upwards.
 *
 * @throws TrainerError ERR_CONFIG: none found, or what is wrong with the one that is there
 */
export async function loadConfig(file?: string, from = process.cwd()): Promise<LoadedConfig> {
  const load: Loader = (path) => importConfig(path);
  const explorer = cosmiconfig("trainer", {
    searchPlaces: configPlaces,
    searchStrategy: "global",
    loaders: { ".ts": load, ".mts": load, ".js": load, ".mjs": load },
    cache: false,
  });
  if (file !== undefined) {
    const path = resolve(from, file);
    if (!existsSync(path)) throw new TrainerError("ERR_CONFIG", `The config ${path} does not exist.`);
    if (!configPlaces.some((place) => extname(place) === extname(path))) {
      throw new TrainerError("ERR_CONFIG", `The config ${path} is not a .ts, .mts, .js or .mjs file.`);
    }
    return { config: (await explorer.load(path))!.config, file: path };
  }
  const found = await explorer.search(from);
  if (!found) {
    throw new TrainerError(
      "ERR_CONFIG",
      `No config: neither --preset nor --config came, and there is no ${configPlaces[0]} in ${from} or above it. ` +
        "Try `trainer --preset quickstart`, or `trainer presets` for the list.",
    );
  }
  return { config: found.config, file: found.filepath };
}

async function importConfig(path: string): Promise<TrainerConfig> {
  const unregister = /\.m?ts$/.test(path) ? register() : undefined;
  const leave = process.exit;
  process.exit = ((code?: number) => {
    throw new Error(`it called process.exit(${code ?? ""})`);
  }) as typeof process.exit;
  try {
    const module: { default?: unknown } = await within(import(pathToFileURL(path).href), "loading it");
    const exported = unwrapped(module.default);
    const config = await within(
      typeof exported === "function" ? (exported as () => unknown)() : exported,
      "the function it exports",
    );
    if (config === undefined) {
      throw new Error("it has no default export. Write `export default defineConfig({ … })`");
    }
    if (typeof config !== "object" || config === null || Array.isArray(config)) {
      throw new Error(`its default export must be a config or a function that returns one, and ${show(config)} came`);
    }
    if (Object.hasOwn(config, "__proto__") || Object.hasOwn(config, "constructor")) {
      throw new Error('it has a key "__proto__" or "constructor", which no config needs');
    }
    return config as TrainerConfig;
  } catch (cause) {
    if (cause instanceof TrainerError) {
      throw new TrainerError(cause.code, `In the config ${path}${place(cause, path)}: ${cause.message}`, { cause });
    }
    const message = (cause instanceof Error ? cause.message : `it threw ${show(cause)}`).replace(/\.$/, "");
    throw new TrainerError("ERR_CONFIG", `The config ${path}${place(cause, path)} cannot be used: ${message}.${hint(cause, path)}`, {
      cause,
    });
  } finally {
    process.exit = leave;
    await unregister?.();
  }
}

/** A `.ts` in a package without `"type": "module"` arrives as CommonJS, its default export one level down. */
function unwrapped(exported: unknown): unknown {
  return typeof exported === "object" && exported !== null && "default" in exported && "__esModule" in exported
    ? (exported as { default: unknown }).default
    : exported;
}

/** ` (line 12)` where the error's stack or message says so. */
function place(cause: unknown, path: string): string {
  const text = cause instanceof Error ? `${cause.message}\n${cause.stack ?? ""}` : "";
  const escaped = path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const line = new RegExp(`${escaped}(?:\\?[^:]*)?:(\\d+)`).exec(text)?.[1];
  return line === undefined ? "" : ` (line ${line})`;
}

function hint(cause: unknown, path: string): string {
  const message = cause instanceof Error ? cause.message : "";
  const commonJs = path.endsWith(".ts") && /ERR_REQUIRE|require\(\)|Cannot use import|not defined in ES module|No "exports" main/.test(message);
  return commonJs ? ' Name it trainer.config.mts, or add "type": "module" to the package.json beside it.' : "";
}

async function within<T>(value: T | PromiseLike<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${patience / 1000} s`)), patience);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Finding and loading a `trainer.config.ts`.
 *
 * cosmiconfig finds the file; tsx loads it, since cosmiconfig's own TypeScript loader writes a file beside
 * the config. `register()` and `import()` share one instance of this package, and so of tf.js, with the
 * config: a second copy would have its own tensors. That needs a module: `.mts` or `.mjs`, or a package of
 * `"type": "module"`; a `.ts` or `.js` elsewhere would get that second copy in silence, and is refused.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { type CosmiconfigResult, cosmiconfig, type Loader } from "cosmiconfig";
import { register } from "tsx/esm/api";
import { TrainerError } from "../errors.js";
import { forbidExit } from "../exit.js";
import { show } from "../options.js";
import { defineConfig, type TrainerConfig } from "./config.js";

/** Where a config is looked for, in this order, from the working directory upwards. */
export const configPlaces = ["trainer.config.ts", "trainer.config.mts", "trainer.config.js", "trainer.config.mjs"];

export interface LoadConfigOptions {
  /** Where the search begins. */
  from?: string;
  /** Longest wait for a config that is a promise or an asynchronous function, milliseconds. */
  patience?: number;
}

export interface LoadedConfig {
  readonly config: TrainerConfig;
  readonly file: string;
}

/**
 * Loads `file`, or the nearest config from `from` upwards.
 *
 * @throws TrainerError ERR_CONFIG: none found, or what is wrong with the one that is there; ERR_DATA: `file` is not
 *   there
 */
export async function loadConfig(
  file?: string,
  { from = process.cwd(), patience = 10_000 }: LoadConfigOptions = {},
): Promise<LoadedConfig> {
  const load: Loader = (path) => {
    if (file === undefined) refuseInRun(path);
    return importConfig(path, patience);
  };
  const explorer = cosmiconfig("trainer", {
    searchPlaces: configPlaces,
    searchStrategy: "global",
    loaders: { ".ts": load, ".mts": load, ".js": load, ".mjs": load },
    cache: false,
    ignoreEmptySearchPlaces: false, // an empty one is a mistake to tell, not to pass over
  });
  if (file !== undefined) {
    const path = resolve(from, file);
    if (!existsSync(path)) throw new TrainerError("ERR_DATA", `The config ${path} does not exist.`);
    if (!configPlaces.some((place) => extname(place) === extname(path))) {
      throw new TrainerError("ERR_CONFIG", `The config ${path} is not a .ts, .mts, .js or .mjs file.`);
    }
    return loaded(await explorer.load(path));
  }
  const found = await explorer.search(from);
  if (!found) {
    throw new TrainerError(
      "ERR_CONFIG",
      `No config: neither --preset nor --config came, and there is no ${configPlaces[0]} in ${from} ` +
        "or above it. Try `trainer --preset quickstart`, or `trainer presets` for the list.",
    );
  }
  return loaded(found);
}

function loaded(result: CosmiconfigResult): LoadedConfig {
  const { config, filepath, isEmpty } = result!;
  if (isEmpty) throw new TrainerError("ERR_CONFIG", `The config ${filepath} is empty.`);
  return { config, file: filepath };
}

/** What lies in a run's folder is data, and came perhaps from elsewhere: nobody who stands in it means to run it. */
function refuseInRun(path: string): void {
  if (!existsSync(join(dirname(path), "config.resolved.json"))) return;
  throw new TrainerError(
    "ERR_CONFIG",
    `${path} lies in a run's folder, where nothing is run that is not asked for. Name it with --config, or go elsewhere.`,
  );
}

async function importConfig(path: string, patience: number): Promise<TrainerConfig> {
  if (/\.[jt]s$/.test(path) && !inModulePackage(dirname(path))) {
    const named = basename(path).replace(/(?=[jt]s$)/, "m");
    throw new TrainerError(
      "ERR_CONFIG",
      `The config ${path} is not a module, since its package.json does not say so. ` +
        `Name it ${named}, or put "type": "module" into the package.json beside or above it.`,
    );
  }
  // Node takes no module whose path has a backslash, tsx none with a question mark.
  const taboo = /[?\\]/.exec(path.replaceAll(sep, "/"))?.[0];
  if (taboo !== undefined) {
    throw new TrainerError(
      "ERR_CONFIG",
      `The config ${path} cannot be imported: no part of its path may have a "${taboo}".`,
    );
  }
  const unregister = /\.m?ts$/.test(path) ? register() : undefined;
  const allowExit = forbidExit((call) => `it called ${call}`);
  const { write } = process.stdout;
  process.stdout.write = process.stderr.write.bind(process.stderr); // standard output is the command's own
  try {
    const load = (): Promise<{ default?: unknown }> => import(pathToFileURL(path).href);
    const { default: exported } = await within(load, patience, "loading it");
    const make = (): unknown => (typeof exported === "function" ? (exported as () => unknown)() : exported);
    const config = await within(make, patience, "the function it exports");
    if (config === undefined && exported !== undefined) throw new Error("the function it exports returned nothing");
    if (config === undefined) {
      throw new Error("it has no default export. Write `export default defineConfig({ … })`");
    }
    if (typeof config !== "object" || config === null || Array.isArray(config)) {
      throw new Error(`expected a config or a function that returns one as its default export, got ${show(config)}`);
    }
    if (Object.hasOwn(config, "__proto__") || Object.hasOwn(config, "constructor")) {
      throw new Error('it has a key "__proto__" or "constructor", which no config needs');
    }
    return defineConfig(config as TrainerConfig);
  } catch (cause) {
    throw refusedConfig(path, cause);
  } finally {
    allowExit();
    process.stdout.write = write;
    await unregister?.();
  }
}

/** What is wrong with a config, with the file it is in. */
function refusedConfig(path: string, cause: unknown): TrainerError {
  if (cause instanceof TrainerError) return new TrainerError(cause.code, `In ${path}: ${cause.message}`, { cause });
  return new TrainerError("ERR_CONFIG", `The config ${path}${place(cause, path)} cannot be used: ${problem(cause)}`, {
    cause,
  });
}

/** ` (line 12)` where the error's stack or message says so. */
function place(cause: unknown, path: string): string {
  const text = cause instanceof Error ? `${cause.message}\n${cause.stack ?? ""}` : "";
  const escaped = path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const line = new RegExp(`${escaped}(?:\\?[^:]*)?:(\\d+)`).exec(text)?.[1];
  return line === undefined ? "" : ` (line ${line})`;
}

/** What went wrong, in a sentence. */
function problem(cause: unknown): string {
  if (!(cause instanceof Error)) return `it threw ${cause === undefined ? "undefined" : show(cause)}.`;
  return `${cause.message.replace(/^Transform failed.*?: ERROR: /s, "").replace(/\.$/, "")}.`;
}

/** Whether Node takes a file of this folder for a module: the nearest package.json says. */
function inModulePackage(folder: string): boolean {
  const manifest = join(folder, "package.json");
  if (existsSync(manifest)) return (JSON.parse(readFileSync(manifest, "utf8")) as { type?: string }).type === "module";
  return dirname(folder) !== folder && inModulePackage(dirname(folder));
}

/** Waits for what a config does, but not for ever. A loop that never returns is not noticed: stop it with Ctrl-C. */
async function within<T>(act: () => T | PromiseLike<T>, patience: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${patience / 1000} s`)), patience);
  });
  try {
    return await Promise.race([act(), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** Finding a config file, running it, and checking the config that it exports. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
// Not the package's entry: it first searches the working folder for settings of its own, and runs a .config/config.js there.
import * as cosmiconfig from "cosmiconfig/dist/Explorer.js";
import { TrainerError } from "../errors.js";
import { forbidExit } from "../exit.js";
import { show } from "../options.js";
import { bundleConfig, type ConfigBundle, type SourcePlace } from "./bundle.js";
import { defineConfig, type TrainerConfig } from "./config.js";

/** Names of a config file, in the order of the search, which goes from the working folder upwards. */
export const configPlaces = ["ts", "mts", "cts", "js", "mjs", "cjs"].map((ending) => `trainer.config.${ending}`);

export interface LoadConfigOptions {
  /** Where the search begins. */
  from?: string;
  /** Longest wait for a config that is a promise or an asynchronous function, milliseconds. */
  patience?: number;
}

export interface LoadedConfig {
  readonly config: TrainerConfig;
  readonly file: string;
  /** SHA-256 over the config file and every local file that it imports. */
  readonly hash: string;
}

/**
 * Loads `file`, or the nearest config from `from` upwards.
 *
 * @throws TrainerError ERR_CONFIG: none found, or a problem of the one found; ERR_OPTION: its config or its parts do not fit;
 *   ERR_DATA: `file` does not exist
 */
export async function loadConfig(
  file?: string,
  { from = process.cwd(), patience = 10_000 }: LoadConfigOptions = {},
): Promise<LoadedConfig> {
  const path = file === undefined ? await nearestConfig(from) : namedConfig(resolve(from, file));
  if (readFileSync(path, "utf8").trim() === "") throw new TrainerError("ERR_CONFIG", `The config ${path} is empty.`);
  const bundle = await bundleConfig(path);
  return { config: await run(bundle, path, patience), file: path, hash: bundle.hash };
}

/**
 * SHA-256 over a config file and every local file that it imports; none of them is run.
 *
 * @throws TrainerError ERR_CONFIG for a config that cannot be bundled
 */
export async function configHash(file: string): Promise<string> {
  return (await bundleConfig(file)).hash;
}

function namedConfig(path: string): string {
  if (!existsSync(path)) throw new TrainerError("ERR_DATA", `The config ${path} does not exist.`);
  const endings = configPlaces.map((place) => extname(place));
  if (endings.includes(extname(path))) return path;
  throw new TrainerError("ERR_CONFIG", `The config ${path} has an unknown ending: expected ${listed(endings)}.`);
}

/** Whether there is a config file in a folder or above it. */
export const hasConfig = async (from = process.cwd()): Promise<boolean> => (await explorer().search(from)) !== null;

async function nearestConfig(from: string): Promise<string> {
  const found = await explorer().search(from);
  if (!found) {
    throw new TrainerError(
      "ERR_CONFIG",
      `No config found. Pass --preset or --config, or add ${configPlaces[0]} to ${from} or a parent folder.${similar(from)} ` +
        "Try `trainer --preset quickstart`, or `trainer presets` for the list.",
    );
  }
  refuseInRun(found.filepath);
  return found.filepath;
}

interface Explorer {
  search(from: string): Promise<{ filepath: string } | null>;
}

function explorer(): Explorer {
  const { Explorer } = cosmiconfig as unknown as { Explorer: new (options: object) => Explorer };
  const find = (path: string): object => ({ path }); // found is enough: bundle.ts reads it
  return new Explorer({
    moduleName: "trainer",
    searchPlaces: configPlaces,
    searchStrategy: "global",
    loaders: Object.fromEntries(configPlaces.map((place) => [extname(place), find])),
    transform: (result: unknown) => result,
    cache: false,
    ignoreEmptySearchPlaces: false, // an empty one is a mistake to report, not to skip
    metaConfigFilePath: null,
    mergeImportArrays: true,
    mergeSearchPlaces: true,
  });
}

/** A file that was perhaps meant: a config of another format, or another case. */
function similar(folder: string): string {
  const found = readdirSync(folder).find((name) => /^(trainer\.config\.|\.trainerrc)/i.test(name));
  return found === undefined
    ? ""
    : ` ${join(folder, found)} is not read: expected TypeScript or JavaScript, named as above.`;
}

const listed = (names: readonly string[]): string => `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

/** A run's folder is data, perhaps of somebody else: nothing in it is run because a user stands there. */
function refuseInRun(path: string): void {
  if (!existsSync(join(dirname(path), "config.resolved.json"))) return;
  throw new TrainerError(
    "ERR_CONFIG",
    `${path} is in the folder of a run, where no config is run unless it is named. Pass it with --config, or change the folder.`,
  );
}

/** Runs a bundle and checks its config. */
async function run(bundle: ConfigBundle, path: string, patience: number): Promise<TrainerConfig> {
  const allowExit = forbidExit((call) => `it called ${call}`);
  const { write } = process.stdout;
  process.stdout.write = process.stderr.write.bind(process.stderr); // standard output is the command's own
  try {
    const load = (): Promise<{ default?: unknown }> => import(bundle.url);
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
    throw refused(path, cause, cause instanceof Error ? bundle.placeOf(cause) : undefined);
  } finally {
    allowExit();
    process.stdout.write = write;
  }
}

/** What is wrong with a config, with the file it is in. */
function refused(path: string, cause: unknown, at: SourcePlace | undefined): TrainerError {
  if (cause instanceof TrainerError) return new TrainerError(cause.code, `In ${path}: ${cause.message}`, { cause });
  const place = at === undefined ? "" : ` (${at.file === path ? "" : `${at.file}, `}line ${at.line})`;
  return new TrainerError("ERR_CONFIG", `The config ${path}${place} cannot be used: ${problem(cause)}`, { cause });
}

/** What went wrong, in a sentence. */
function problem(cause: unknown): string {
  if (!(cause instanceof Error)) return `it threw ${cause === undefined ? "undefined" : show(cause)}.`;
  // Node names the importer, which is here the bundle's whole text.
  return `${cause.message.replace(/ imported from data:\S*/, "").replace(/\.$/, "")}.`;
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

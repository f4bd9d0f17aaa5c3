/**
 * A config file and every local file that it imports, as one module in memory. So a config loads in every kind of project
 * (CommonJS, modules, linked packages), nothing is written beside it, and one hash stands for all of its files.
 *
 * Packages stay outside: the module imports them from where the importing file finds them. `fitloop` itself is the running
 * instance, wherever it is installed: a second copy would have tensors and parts of its own. No tsconfig.json is read.
 */
import { createHash } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { isBuiltin, SourceMap, type SourceMapping } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BuildFailure, build, type Loader, type Message, type OnLoadResult, type Plugin } from "esbuild";
import { TrainerError } from "../errors.js";
import { suggestion } from "../options.js";

/** A place in a local file, 1-based. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
}

export interface ConfigBundle {
  /** One ES module, as an URL to import. */
  readonly url: string;
  /** SHA-256 over names and contents of the config and of every local file that it imports; the same in another folder. */
  readonly hash: string;
  /** The place in the user's own files that an error comes from, if it comes from one. */
  placeOf(error: Error): SourcePlace | undefined;
}

/** The package's own modules by the names that a config imports, with tf.js' core, whose tensors must be the same. */
async function runningModules(): Promise<Readonly<Record<string, object>>> {
  return {
    fitloop: await import("fitloop"),
    "fitloop/plugins": await import("fitloop/plugins"),
    "fitloop/presets": await import("fitloop/presets"),
    "fitloop/models": await import("fitloop/models"),
    "fitloop/data": await import("fitloop/data"),
    "fitloop/export": await import("fitloop/export"),
    "fitloop/testing": await import("fitloop/testing"),
    "@tensorflow/tfjs-core": await import("@tensorflow/tfjs-core"),
  };
}

/** The config's own name inside its bundle; its file may have any. */
const entry = "<config>";
/** Where the bundle finds the running modules. */
const runningKey = "fitloop.running";

/**
 * Bundles a config, without running it.
 *
 * @throws TrainerError ERR_CONFIG for a syntax error, a missing file or package, or an unknown name, with its line
 */
export async function bundleConfig(file: string): Promise<ConfigBundle> {
  const folder = await realpath(dirname(file)); // esbuild names files by their real paths, relative to this
  const modules = await runningModules();
  Object.defineProperty(globalThis, Symbol.for(runningKey), { value: modules, configurable: true });
  const built = await build({
    stdin: { contents: await ownText(file), resolveDir: folder, sourcefile: entry, loader: loaderOf(file) },
    absWorkingDir: folder,
    outfile: join(folder, "config.js"), // a name for the source map; nothing is written
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: `node${process.versions.node}`,
    charset: "utf8",
    conditions: [],
    tsconfigRaw: {},
    define: ownNames,
    // CommonJS files keep their `require` of packages.
    banner: {
      js: `import { createRequire as $createRequire } from "node:module"; const require = $createRequire(${JSON.stringify(file)});`,
    },
    sourcemap: "external",
    sourcesContent: false,
    metafile: true,
    logLevel: "silent",
    plugins: [localFiles(modules)],
  }).catch((failure: BuildFailure) => {
    throw refusal(file, failure.errors, modules);
  });
  const text = built.outputFiles.find(({ path }) => path.endsWith(".js"))!.text;
  const named = pathToFileURL(file).href; // what stacks show, in place of the whole text
  const url = `data:text/javascript;base64,${Buffer.from(`${text}\n//# sourceURL=${named}\n`).toString("base64")}`;
  const map = new SourceMap(JSON.parse(built.outputFiles.find(({ path }) => path.endsWith(".map"))!.text));
  return {
    url,
    hash: await hashOf(file, folder, Object.keys(built.metafile.inputs)),
    placeOf({ stack = "" }) {
      const found = placeIn(stack.replaceAll(url, named), named, map);
      return found && { line: found.line, file: found.file === entry ? file : resolve(folder, found.file) };
    },
  };
}

/** What a file knows of its own place, and the constant that has it in the bundle. */
const ownNames = {
  "import.meta.url": "$fitloopUrl",
  "import.meta.dirname": "$fitloopFolder",
  "import.meta.filename": "$fitloopFile",
  __dirname: "$fitloopFolder",
  __filename: "$fitloopFile",
} as const;

/** A file's text, with the constants of its own place on its first line. */
async function ownText(file: string): Promise<string> {
  const text = (await readFile(file, "utf8")).replace(/^\uFEFF/, "").replace(/^#!.*/, "");
  if (!/import\.meta|__dirname|__filename/.test(text)) return text;
  const [url, folder, path] = [pathToFileURL(file).href, dirname(file), file].map((each) => JSON.stringify(each));
  return `const $fitloopUrl = ${url}, $fitloopFolder = ${folder}, $fitloopFile = ${path}; ${text}`;
}

const loaderOf = (file: string): Loader => (/\.[cm]?ts$/.test(file) ? "ts" : /x$/.test(file) ? "tsx" : "js");

/** Local files come in, packages stay outside, and the running modules are handed over. */
function localFiles(modules: Readonly<Record<string, object>>): Plugin {
  return {
    name: "local-files",
    setup({ onResolve, onLoad, resolve: find }) {
      onResolve({ filter: /^[^./]|^\.[^./]|^\.\.[^/]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
        if (pluginData === "found") return undefined; // asked below
        if (Object.hasOwn(modules, path)) return { path, namespace: "running" };
        if (isBuiltin(path) || /^(data|https?):/.test(path)) return { path, external: true };
        if (path.startsWith("file:")) return { path: fileURLToPath(path) };
        const found = await find(path, { kind, importer, resolveDir, pluginData: "found" });
        if (found.errors.length > 0 || path.startsWith("#")) return found;
        return { path: kind.startsWith("require") ? found.path : pathToFileURL(found.path).href, external: true };
      });
      onLoad({ filter: /.*/, namespace: "running" }, ({ path }): OnLoadResult => {
        const names = Object.keys(modules[path]!).filter((name) => name !== "default");
        const from = `globalThis[Symbol.for("${runningKey}")][${JSON.stringify(path)}]`;
        return { contents: `export const { ${names.join(", ")} } = ${from};` };
      });
      onLoad(
        { filter: /\.[cm]?[jt]sx?$/, namespace: "file" },
        async ({ path }): Promise<OnLoadResult> => ({
          contents: await ownText(path),
          loader: loaderOf(path),
        }),
      );
    },
  };
}

/** Names are relative to the config, so that a project may move. */
async function hashOf(file: string, folder: string, inputs: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const input of inputs.filter((each) => !each.startsWith("running:")).sort()) {
    const content = await readFile(input === entry ? file : resolve(folder, input));
    hash.update(`${input}\0${createHash("sha256").update(content).digest("hex")}\n`);
  }
  return hash.digest("hex");
}

/** The first frame of a stack that is in the bundle, as a place in the file that it came from. */
function placeIn(stack: string, url: string, map: SourceMap): SourcePlace | undefined {
  for (const rest of stack.split(`${url}:`).slice(1)) {
    const [, line, column] = /^(\d+):(\d+)/.exec(rest) ?? [];
    const { originalSource, originalLine } = map.findEntry(
      Number(line) - 1,
      Number(column) - 1,
    ) as Partial<SourceMapping>;
    if (originalSource === undefined || originalLine === undefined || originalSource.startsWith("running:")) continue;
    return { file: decodeURI(originalSource), line: originalLine + 1 };
  }
  return undefined;
}

/** One error for all that esbuild found. */
function refusal(file: string, errors: readonly Message[], modules: Readonly<Record<string, object>>): TrainerError {
  const problems = errors.map(({ text, location }) => {
    const where = location && ` (${location.file === entry ? "" : `${location.file}, `}line ${location.line})`;
    return { where: where ?? "", text: reworded(text, modules) };
  });
  const [first] = problems;
  const message =
    problems.length === 1
      ? `The config ${file}${first!.where} cannot be loaded: ${first!.text}.`
      : `The config ${file} cannot be loaded:\n${problems.map(({ where, text }) => `-${where} ${text}.`).join("\n")}`;
  return new TrainerError("ERR_CONFIG", message);
}

function reworded(text: string, modules: Readonly<Record<string, object>>): string {
  const [, module, name] = /^No matching export in "running:(.*?)" for import "(.*)"$/.exec(text) ?? [];
  if (module !== undefined)
    return `"${module}" exports no "${name}"${suggestion(name!, Object.keys(modules[module]!))}`;
  const [, unknown] = /^Could not resolve "(fitloop\/.*?)"$/.exec(text) ?? [];
  if (unknown !== undefined) return `there is no "${unknown}"${suggestion(unknown, Object.keys(modules))}`;
  return text.replace(/\.$/, "");
}

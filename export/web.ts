/**
 * An exported model as a folder for the web: the model, its runtime (runtime.js with its WebAssembly), a description
 * (classifier.json), a loader for pages of one's own (classifier.js), and index.html, a page with all of this inside.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import type { ClassifierFile } from "../browser/classifier.js";
import { TrainerError } from "../core/errors.js";
import { packageRoot } from "../core/package.js";
import type { RunFiles } from "../run/open.js";
import { writing } from "../run/output.js";
import type { Description, Precision } from "./formats/format.js";
import { inPieces, type Pieces } from "./formats/pieces.js";
import { classifierPage, generator } from "./page.js";

const pageFile = "index.html";
const aboutFile = "classifier.json";

export type WebFormat = ClassifierFile["format"];

/** The package of each runtime that a page needs beside ours: an optional peer dependency. */
export const runtimePackages = {
  tfjs: "@tensorflow/tfjs-converter@4.22.0",
  litert: "@litertjs/core@2.5.3",
} as const;

/** What a runtime reads besides its script, as `file` in browser/ asks for it. */
const runtimeFiles: Readonly<Record<WebFormat, readonly string[]>> = {
  tfjs: ["@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"],
  litert: [
    "@litertjs/core/wasm/litert_wasm_compat_internal.js",
    "@litertjs/core/wasm/litert_wasm_compat_internal.wasm",
  ],
};

/** Where a package lies: beside this one, or in the project that the command runs in. */
function packageFolder(name: string): string | undefined {
  try {
    const { resolve } = createRequire(import.meta.url);
    return dirname(resolve(`${name}/package.json`, { paths: [packageRoot(), process.cwd()] }));
  } catch {
    return undefined;
  }
}

const nameOf = (specifier: string): string => specifier.split("/", 2).join("/");

/** Whether the format's runtime is installed. */
const hasRuntime = (format: WebFormat): boolean =>
  packageFolder(runtimePackages[format].replace(/@[^@]+$/, "")) !== undefined;

/** @throws TrainerError ERR_OPTION where it is not */
function checkRuntime(format: WebFormat): void {
  if (hasRuntime(format)) return;
  throw new TrainerError(
    "ERR_OPTION",
    `A page for "${format}" needs a runtime that is not installed. Run npm install ${runtimePackages[format]}, or pass --no-page.`,
  );
}

export const isWeb = (format: string): format is WebFormat => format === "tfjs" || format === "litert";

/** @throws TrainerError ERR_OPTION where a page is demanded that cannot be written */
export function formatsWithPage(
  wanted: readonly string[],
  page: boolean | undefined,
  log: (line: string) => void,
): readonly WebFormat[] {
  const web = wanted.filter(isWeb);
  if (page === false) return [];
  if (page && web.length === 0) {
    throw new TrainerError("ERR_OPTION", `A page needs the format "tfjs" or "litert", got ${wanted.join(", ")}.`);
  }
  if (page) web.forEach(checkRuntime);
  const missing = web.filter((format) => !hasRuntime(format));
  for (const format of missing) {
    log(`No page is written for "${format}". To get one, run npm install ${runtimePackages[format]} and export again.`);
  }
  return web.filter((format) => !missing.includes(format));
}

/**
 * Removes what an earlier export says of the model beside it: its description, and its page. A page that somebody else wrote stays.
 *
 * @returns whether there was one
 */
export function removePage(folder: string): boolean {
  const [about, page] = [join(folder, aboutFile), join(folder, pageFile)];
  if (!existsSync(about)) return false;
  writing(folder, () => {
    rmSync(about);
    if (existsSync(page) && readFileSync(page, "utf8").includes(generator)) rmSync(page);
  });
  return true;
}

/** What the exported folder says of itself. Its accuracy is the run's in one view, and absent where weights are int8. */
export function aboutOf(
  format: WebFormat,
  model: string,
  weights: Precision["kind"],
  { trainer, summary, calibration }: RunFiles,
  { classes, size, resizing, input, output }: Description,
): ClassifierFile {
  const seen = summary.test?.singleView ?? summary.test;
  const isRounded = weights === "int8" || weights === "int8-dynamic";
  return {
    version: 1,
    name: trainer.config.name,
    format,
    model,
    classes,
    input: { ...resizing, size, type: input },
    output,
    temperature: output === "logits" ? (calibration?.temperature ?? 1) : 1,
    ...(seen && !isRounded && { test: { top1: seen.top1, images: summary.test!.count } }),
  };
}

/**
 * @param model file name -> its bytes in pieces
 * @returns the same for what lies beside them, the page first
 */
export async function webFiles(
  about: ClassifierFile,
  model: ReadonlyMap<string, Pieces>,
): Promise<Map<string, Iterable<Uint8Array>>> {
  const { format } = about;
  const runtime = runtimeFiles[format].map((specifier): [string, Pieces] => {
    const name = nameOf(specifier);
    const bytes = readFileSync(join(packageFolder(name)!, specifier.slice(name.length)));
    return [specifier.split("/").at(-1)!, inPieces([bytes])];
  });
  const [page, opened, loader] = await Promise.all([
    bundle(
      `import { openModel } from "./${format}.ts"; import { startPage } from "./page.ts"; startPage(openModel);`,
      "iife",
    ),
    bundle(`export { openModel } from "./${format}.ts";`, "esm"),
    bundle('export { loadClassifier } from "./index.ts";', "esm"),
  ]);
  const style = readFileSync(join(packageRoot(), "browser", "page.css"), "utf8");
  const text = (content: string): Pieces => inPieces([Buffer.from(content)]);
  return new Map<string, Iterable<Uint8Array>>([
    [pageFile, classifierPage(about, new Map([...model, ...runtime]), page, style)],
    [aboutFile, text(`${JSON.stringify(about, null, 2)}\n`)],
    ["classifier.js", text(loader)],
    ["runtime.js", text(opened)],
    ...runtime,
  ]);
}

/** One script for browsers, made of browser/ and the packages that it imports. */
async function bundle(contents: string, format: "esm" | "iife"): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: join(packageRoot(), "browser"), loader: "ts" },
    nodePaths: [join(process.cwd(), "node_modules")],
    bundle: true,
    write: false,
    minify: true,
    format,
    platform: "browser",
    target: "es2022",
    charset: "utf8",
    legalComments: "eof", // the runtimes' licences
    tsconfigRaw: {},
    logLevel: "silent",
  });
  return outputFiles[0]!.text;
}

/** `trainer init`: writes the config that `trainer --data FOLDER` chooses, to read and change. */
import { chmodSync, existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { configPlaces } from "../core/config/load.js";
import { TrainerError } from "../core/errors.js";
import { writeFileAtomic } from "../core/files.js";
import { configSource } from "./config-source.js";
import { configForImages } from "./own-images.js";
import { print, tell } from "./terminal.js";

interface InitOptions {
  data: string;
  weights?: string;
}

export function addInit(program: Command): void {
  program
    .command("init")
    .description("write trainer.config.ts, tsconfig.json, .gitignore and a script for a folder of images")
    .summary("write a config for a folder of images")
    .requiredOption("--data <path>", "a folder with one folder for each class, or a CSV of path,label")
    .option("--weights <file>", "weights of an EfficientNet-Lite0: a file, or hf:owner/name")
    .addHelpText(
      "after",
      `
It writes the config and, where none is found, tsconfig.json; it adds a script
"train" to package.json, and node_modules/ and runs/ to .gitignore. What is
there already stays. The config is the one that \`trainer --data FOLDER\`
trains. In a package without "type": "module" it is called trainer.config.mts:
TypeScript takes a .ts file there for CommonJS.

Example:
  trainer init --data photos && npm run train`,
    )
    .action(init);
}

async function init({ data, weights }: InitOptions): Promise<void> {
  refuseExisting();
  const config = await configForImages(data, { weights, log: tell });
  const source = configSource(config);
  refuseExisting(); // choosing may have downloaded weights, for minutes
  const written = [addScript("package.json"), addTypes("tsconfig.json"), addIgnored(".gitignore")];
  const name = `trainer.config.${parsed("package.json").type === "module" ? "ts" : "mts"}`;
  write(name, source);
  print(
    [`${name}: the config`, ...written.filter((line) => line !== undefined), "Train with: npm run train"].join("\n"),
  );
}

/** @throws TrainerError ERR_OUTPUT where there is a config */
function refuseExisting(): void {
  const there = configPlaces.find((name) => existsSync(name));
  if (there === undefined) return;
  throw new TrainerError("ERR_OUTPUT", `${there} already exists here. Remove it, or change it by hand.`);
}

/**
 * Writes a file of the user's folder, whole or not at all. One that is there keeps its mode, and a link stays a link.
 *
 * @throws TrainerError ERR_IO
 */
function write(path: string, content: string): void {
  const exists = existsSync(path);
  const file = exists ? realpathSync(path) : resolve(path);
  const mode = exists ? statSync(file).mode : undefined;
  writeFileAtomic(file, content, "What was there is unchanged. Make room or allow writing, then run it again.");
  if (mode !== undefined && statSync(file).mode !== mode) chmodSync(file, mode);
}

/** Settings with which TypeScript finds the package's entries. Older defaults know no `exports` of a package. */
const typeSettings = { module: "nodenext", target: "es2022", strict: true, skipLibCheck: true, noEmit: true };

/** Adds settings for TypeScript, unless there are some here or above. Of other ones it says what the config needs. */
function addTypes(path: string): string | undefined {
  const near = nearest(path);
  if (near === undefined) {
    write(path, `${JSON.stringify({ compilerOptions: typeSettings }, undefined, 2)}\n`);
    return `${path}: settings for editors and tsc`;
  }
  if (/"module(Resolution)?"\s*:\s*"(node1[68]|node20|nodenext|bundler|preserve)"/i.test(readFileSync(near, "utf8")))
    return;
  return `${near}: unchanged; to check the config's types it needs "module": "nodenext" or "moduleResolution": "bundler"`;
}

/** A file of this name here or in a parent folder. */
function nearest(name: string, folder = process.cwd()): string | undefined {
  const path = resolve(folder, name);
  if (existsSync(path)) return path;
  return dirname(folder) === folder ? undefined : nearest(name, dirname(folder));
}

/** Adds the script `train`, unless there is one. */
function addScript(path: string): string | undefined {
  const script = "trainer";
  if (!existsSync(path)) {
    write(path, `${JSON.stringify({ private: true, type: "module", scripts: { train: script } }, undefined, 2)}\n`);
    return `${path}: the script "train"`;
  }
  const content = parsed(path);
  const scripts = (content.scripts ?? {}) as Record<string, unknown>;
  if ("train" in scripts) return undefined;
  write(path, inStyleOf(readFileSync(path, "utf8"), { ...content, scripts: { ...scripts, train: script } }));
  return `${path}: added the script "train"`;
}

/** JSON with the indentation, the line ends and the end of another. */
function inStyleOf(before: string, content: Record<string, unknown>): string {
  const indentation = /^[ \t]+/m.exec(before)?.[0];
  const newline = before.includes("\r\n") ? "\r\n" : "\n";
  const text = JSON.stringify(content, undefined, indentation).replaceAll("\n", newline);
  return before.endsWith("\n") ? text + newline : text;
}

function parsed(path: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof content === "object" && content !== null && !Array.isArray(content)) {
      return content as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new TrainerError("ERR_OUTPUT", `${join(process.cwd(), path)} is no JSON object. Fix it, then run it again.`);
}

/** Adds the folder of the runs, unless it is ignored already. */
function addIgnored(path: string): string | undefined {
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  const lines = before.split("\n").map((line) => line.trim());
  const missing = ["node_modules/", "runs/"].filter(
    (name) => !lines.includes(name) && !lines.includes(name.slice(0, -1)),
  );
  if (missing.length === 0) return undefined;
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  write(path, `${before}${gap}${missing.join("\n")}\n`);
  return `${path}: ${missing.join(", ")}`;
}

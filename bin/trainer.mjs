#!/usr/bin/env node
// In the published package the bundle; in a checkout the TypeScript sources through tsx.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startProblem } from "./start-check.mjs";

const bundle = new URL("../dist/cli.js", import.meta.url);
const sources = new URL("../cli/main.ts", import.meta.url);
const problem = startProblem(process.cwd, () => readFileSync("/proc/self/limits", "utf8"));
if (problem !== undefined) {
  process.stderr.write(`trainer: ${problem}\n`);
  process.exitCode = 74; // EX_IOERR
} else if (existsSync(fileURLToPath(sources))) {
  const { register } = await import("tsx/esm/api");
  // With this checkout's settings: a tsconfig.json of the working folder could exchange modules for others.
  register({ tsconfig: fileURLToPath(new URL("../tsconfig.json", import.meta.url)) });
  await import(sources.href);
} else {
  await import(bundle.href);
}

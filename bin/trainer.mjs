#!/usr/bin/env node
// In the published package the bundle; in a checkout the TypeScript sources through tsx.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const bundle = new URL("../dist/cli.js", import.meta.url);
const sources = new URL("../cli/main.ts", import.meta.url);
if (existsSync(fileURLToPath(sources))) {
  const { register } = await import("tsx/esm/api");
  // With this checkout's settings: a tsconfig.json of the working folder could exchange modules for others.
  register({ tsconfig: fileURLToPath(new URL("../tsconfig.json", import.meta.url)) });
  await import(sources.href);
} else {
  await import(bundle.href);
}

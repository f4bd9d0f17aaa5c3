#!/usr/bin/env node
// In the published package the bundle; in a checkout the TypeScript sources through tsx.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const bundle = new URL("../dist/cli.js", import.meta.url);
const sources = new URL("../cli/main.ts", import.meta.url);
if (existsSync(fileURLToPath(sources))) {
  const { register } = await import("tsx/esm/api");
  register();
  await import(sources.href);
} else {
  await import(bundle.href);
}
